"""Bytes that are no config: random ones, pieces of JSON in any order, and configs cut off or damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from trainer.experiment import checking
from utils import config
from utils.config import ConfigError

FRAGMENTS = [
    "{", "}", "[", "]", ":", ",", '"', "\\", "\\u", "d83d", "//", "/*", "*/", "null", "true", "NaN", "1e999", "-", "0", "9" * 25,
    '"extends"', '"type"', '"name"', '"trainer"', '"args"', '"$schema"', "\n", " ", "é", "\0", "\x1b", "\ufeff",
]  # fmt: skip


def nonsense(configs: list[Path], number: int, seed: int) -> Iterator[bytes]:
    """`number` byte strings, of all kinds at random."""
    rng = random.Random(seed)
    contents = [path.read_bytes().rstrip() for path in configs]
    for _ in range(number):
        content = rng.choice(contents)
        yield rng.choice([noise(rng), soup(rng), cut_off(content, rng), damaged(content, rng)])


def noise(rng: random.Random) -> bytes:
    """Any bytes."""
    return rng.randbytes(rng.randrange(200))


def soup(rng: random.Random) -> bytes:
    """Pieces of JSON, by chance even an object."""
    text = "".join(rng.choices(FRAGMENTS, k=rng.randrange(1, 30)))
    return (text if rng.random() < 0.5 else '{"name": ' + text + "}").encode()


def cut_off(content: bytes, rng: random.Random) -> bytes:
    """The beginning of a config."""
    return content[: rng.randrange(len(content) - 1)]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A config with a few other bytes, of which one is no UTF-8."""
    changed = bytearray(content)
    for _ in range(rng.randrange(5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    changed.insert(rng.randrange(len(changed)), 0xFF)
    return bytes(changed)


def said_of(content: bytes, folder: Path) -> list[str]:
    """The lines that refuse it as a config. Raises AssertionError where it is none, and whatever else is raised."""
    path = folder / "nonsense.json"
    path.write_bytes(content)
    try:
        checking.check(config.read(path))
    except ConfigError as error:
        return str(error).splitlines()
    raise AssertionError(f"this was taken for a config: {content!r}")
