"""Read a JSON config: comments, `extends`, overrides. What is wrong is collected, a line for each problem."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import UserError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 60
SHORTCUTS = {"lr": "optimizer.args.lr", "bs": "data_loader.args.batch_size"}
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


class Problem(NamedTuple):
    """One thing that is wrong: in which file, at which key, and what to do about it."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: {self.message}"


class ConfigError(UserError):
    """All problems of a config at once, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(" ".join(str(problem).split()) for problem in self.problems))


@dataclass
class RawConfig:
    """A config as it was written, before anybody looked at its meaning."""

    values: dict[str, Any]
    file: str
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, key: KeyPath) -> str:
        """The file (or command-line option) that the key, or the nearest key above it, came from."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return self.file


def read(path: Path | str, overrides: Iterable[str] = (), lr: float | None = None, bs: int | None = None) -> RawConfig:
    """The config at `path` with everything it extends, then `a.b.c=VALUE` overrides in their order.

    Raises ConfigError: unreadable file, syntax, a key given twice, NaN or Infinity, a circle of `extends`.
    """
    config = _read_with_parents(Path(path), ())
    for name, value in (("lr", lr), ("bs", bs)):
        if value is not None:
            _override(config, SHORTCUTS[name], value, f"--{name}")
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError([Problem("--set", text, "needs the form a.b.c=VALUE")])
        _override(config, key, _parse_value(text, value), "--set")
    return config


def from_values(values: dict[str, Any], file: str, overrides: Iterable[str] = ()) -> RawConfig:
    """A config that is at hand already (from a checkpoint), with overrides."""
    config = RawConfig(json.loads(json.dumps(values)), file)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError([Problem("--set", text, "needs the form a.b.c=VALUE")])
        _override(config, key, _parse_value(text, value), "--set")
    return config


def key_text(key: KeyPath) -> str:
    """`trainer.epochs`, `metrics[0].type`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the nearest known word, or nothing where none is near."""
    nearest = suggest(word, known)
    return f' (did you mean "{nearest}"?)' if nearest else ""


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word with the fewest edits from `word`, if that is at most a third of its letters (at least 2)."""
    scored = []
    for candidate in known:
        edits = edit_distance(word.lower(), candidate.lower())
        similarity = difflib.SequenceMatcher(None, word.lower(), candidate.lower()).ratio()
        scored.append((edits, -similarity, candidate))
    if not scored:
        return None
    edits, _, candidate = min(scored)
    return candidate if edits <= max(2, len(word) // 3) and edits < len(word) else None


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions, substitutions and swaps of neighbours from `a` to `b`.

    Optimal string alignment (Damerau, 1964; no substring is edited twice).
    """
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, previous = previous, row
    return previous[-1]


def differences(old: Any, new: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Every key at which two plain values differ, with both values (None where one lacks it)."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from differences(old.get(name), new.get(name), (*key, name))
    elif old != new:
        yield key, old, new


# Reading one file ---------------------------------------------------------------------------------------------------


class _Twice(dict[str, Any]):
    """A JSON object in which some key stood twice."""

    keys_twice: list[str]


@dataclass(frozen=True)
class _NotANumber:
    text: str


def _read_with_parents(path: Path, chain: tuple[Path, ...]) -> RawConfig:
    resolved = path.resolve()
    if resolved in chain:
        circle = " -> ".join(str(p.name) for p in (*chain[chain.index(resolved) :], resolved))
        raise ConfigError([Problem(str(path), "extends", f"goes in a circle: {circle}")])
    values = _load(path)
    parents = values.pop("extends", [])
    parents = [parents] if isinstance(parents, str) else parents
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise ConfigError([Problem(str(path), "extends", f"found {show(parents)}; allowed: a file name, or a list of them")])
    merged = RawConfig({}, str(path))
    for parent in parents:
        base = _read_with_parents(path.parent / parent, (*chain, resolved))
        _merge(merged, base.values, base.origins, base.file)
    _merge(merged, values, {}, str(path))
    return merged


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError([Problem(str(path), "", f"is over {MAX_BYTES:,} bytes, which no config is")])
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), "", f"is not UTF-8 text (byte {error.start})")]) from None
    values = _parse(str(path), text)
    if not isinstance(values, dict):
        raise ConfigError([Problem(str(path), "", f"found {show(values)}; a config is a JSON object {{…}}")])
    problems = list(_forbidden(str(path), values, ()))
    if problems:
        raise ConfigError(problems)
    return values


def _parse(source: str, text: str) -> Any:
    """JSON with // and /* */ comments; keys given twice and numbers that are none are marked for `_forbidden`."""
    blanked = _COMMENT.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)
    try:
        return json.loads(
            blanked, object_pairs_hook=_object, parse_constant=_NotANumber, parse_float=_finite, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError([Problem(source, place, f"is not JSON: {error.msg.lower()}")]) from None
    except RecursionError:
        raise ConfigError([Problem(source, "", "is nested too deeply")]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    names = [name for name, _ in pairs]
    twice = _Twice(result)
    twice.keys_twice = sorted({name for name in names if names.count(name) > 1})
    return twice


def _finite(text: str) -> float | _NotANumber:
    value = float(text)
    return value if math.isfinite(value) else _NotANumber(text)


def _integer(text: str) -> int | _NotANumber:
    return int(text) if len(text) <= 19 else _NotANumber(text[:20] + "…")


def _forbidden(source: str, value: Any, key: KeyPath) -> Iterator[Problem]:
    if len(key) > MAX_DEPTH:
        yield Problem(source, key_text(key[:3]), f"is nested more than {MAX_DEPTH} deep")
        return
    if isinstance(value, _NotANumber):
        yield Problem(source, key_text(key), f"found {value.text}; allowed: finite numbers")
    if isinstance(value, _Twice):
        for name in value.keys_twice:
            yield Problem(source, key_text((*key, name)), "is given twice; keep one")
    for name, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _forbidden(source, item, (*key, name))


def show(value: Any) -> str:
    """A value for a message: JSON, at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


# Merging ------------------------------------------------------------------------------------------------------------


def _merge(config: RawConfig, values: dict[str, Any], origins: dict[KeyPath, str], file: str) -> None:
    """Lay `values` over the config: objects merge key by key, but a part whose `type` changes starts anew."""
    source = RawConfig(values, file, origins)
    config.values = _merge_values(config, config.values, values, source, ())


def _merge_values(config: RawConfig, old: Any, new: Any, source: RawConfig, key: KeyPath) -> Any:
    merges = isinstance(old, dict) and isinstance(new, dict)
    if not merges or new.get("type", old.get("type")) != old.get("type"):
        config.origins = {k: f for k, f in config.origins.items() if k[: len(key)] != key} if key else config.origins
        _note_origins(config, new, source, key)
        return new
    merged = dict(old)
    for name, value in new.items():
        merged[name] = _merge_values(config, old.get(name), value, source, (*key, name))
    return merged


def _note_origins(config: RawConfig, value: Any, source: RawConfig, key: KeyPath) -> None:
    if key:
        config.origins[key] = source.origin(key)
    for name, item in value.items() if isinstance(value, dict) else ():
        _note_origins(config, item, source, (*key, name))


def _parse_value(option: str, text: str) -> Any:
    """JSON where it is JSON, else the text itself: `--set name=demo` needs no quotes."""
    try:
        value = _parse("--set", text)
    except ConfigError:
        return text
    problems = list(_forbidden("--set", value, (option.partition("=")[0],)))
    if problems:
        raise ConfigError(problems)
    return value


def _override(config: RawConfig, dotted: str, value: Any, option: str) -> None:
    key: list[str | int] = [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", dotted) if part]
    place: Any = config.values
    for depth, part in enumerate(key[:-1]):
        if isinstance(place, dict):
            place = place.setdefault(str(part), {})
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            place = place[part]
        else:
            raise ConfigError([Problem(option, dotted, f"{key_text(tuple(key[:depth]))} holds {show(place)}, no {part}")])
    last = key[-1]
    if isinstance(place, dict):
        place[str(last)] = value
    elif isinstance(place, list) and isinstance(last, int) and last < len(place):
        place[last] = value
    else:
        raise ConfigError([Problem(option, dotted, f"{key_text(tuple(key[:-1]))} holds {show(place)}, no {last}")])
    config.origins[tuple(key)] = option
