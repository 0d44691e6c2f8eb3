"""Helpers of the writers of synthetic data sets: complete folders, names and seeds of pictures, files.

The files are a pure function of the arguments. A data set appears at its folder only when it is complete: a writer that is
stopped leaves nothing there.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2

from data_loader.synthetic.canvas import Image


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, and move it there if the block succeeds.

    Raises FileExistsError if `folder` exists.
    """
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} already exists")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        partial = Path(scratch) / folder.name  # a folder inside, because only the owner may read the scratch folder itself
        partial.mkdir()
        yield partial
        partial.rename(folder)


def require(**numbers: tuple[int, int]) -> None:
    """Raise ValueError for a number below its least value. numbers: name -> (value, least value)."""
    for name, (value, least) in numbers.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def digest(seed: int, *parts: object) -> str:
    """Return a name of 64 hexadecimal characters for one picture."""
    return hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).hexdigest()


def seed_of(key: str) -> int:
    """Return the seed of the picture that has this digest."""
    return int(key[:12], 16)


def write_image(path: Path, image: Image) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, in the format of the path's suffix; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
