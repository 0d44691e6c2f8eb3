"""Read a JSON config with comments, `extends` and overrides, and report its problems, a line for each."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import UserError

KeyPath = tuple[str | int, ...]

VALUES = "config"  # stands for the file of a config that a program gives as values
MAX_BYTES = 1_000_000
MAX_DEPTH = 60
MAX_DIGITS = 19  # 2 ** 63 - 1 has 19 digits
# The options of the command line that change one key.
SHORTCUTS = {
    "lr": "optimizer.args.lr",
    "bs": "data_loader.args.batch_size",
    "epochs": "trainer.epochs",
    "name": "name",
    "data": "data_loader.args.data_dir",
}
# A string or a comment. Both match to the end of the text if they are not closed: a new try at every later quote would
# take hours on a large file.
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*+"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_BAD_TEXT = re.compile("[\\0\ud800-\udfff]")  # no path and no UTF-8 text can hold these
_GOOD_TEXT = "text without NUL and without halves of characters"


class Problem(NamedTuple):
    """A problem of a config: the file, the key, and a message that says what to do."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: {self.message}"


class ConfigError(UserError):
    """The error that lists all problems of a config, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(_printable(" ".join(str(problem).split())) for problem in self.problems))


def _printable(text: str) -> str:
    """Return the text with escapes for control characters and others that a terminal cannot show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass
class RawConfig:
    """A config as it was written, before it is checked."""

    values: dict[str, Any]
    file: str
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, key: KeyPath) -> str:
        """Return the file (or command-line option) that the key, or the nearest key above it, came from."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return self.file

    def writer(self, key: KeyPath) -> str:
        """Return the file (or option) that was the last to write the key or anything below it; the origin if none did."""
        files = [file for place, file in self.origins.items() if place[: len(key)] == key]  # in the order of writing
        return files[-1] if files else self.origin(key)


class Override(NamedTuple):
    """A value in the place of the one that a config has at a key. option: where it was given, for messages."""

    key: str
    value: Any
    option: str = "--set"

    @classmethod
    def of(cls, text: str) -> Override:
        """Read `a.b.c=VALUE`, of which VALUE is JSON, or else text as it is. Raises ConfigError."""
        key, equals, value = text.partition("=")
        if not equals or not _steps(key):
            raise ConfigError([Problem("--set", text, "needs the form a.b.c=VALUE")])
        return cls(key, _parse_value(value))


Overrides = Iterable[Override | str]  # a text is one of `--set`: a.b.c=VALUE
Given = Path | str | Mapping[str, Any]  # the file of a config, or its values


def overrides_of(given: Overrides) -> list[Override]:
    """Return the overrides with every text read. Raises ConfigError."""
    return [Override.of(one) if isinstance(one, str) else one for one in given]


def read(given: Given, overrides: Overrides = ()) -> RawConfig:
    """Read a config and the files that it extends, then apply the overrides in order.

    given: its file, or its values, whose `extends` is relative to the working folder. Raises ConfigError for an unreadable
    file, bad syntax, a key given twice, NaN or Infinity, a value that JSON cannot hold, or a circle of `extends`.
    """
    path = Path(VALUES if isinstance(given, Mapping) else given)
    config = _with_parents(path, _plain(VALUES, dict(given)) if isinstance(given, Mapping) else _load(path), ())
    return override(config, overrides)


def override(config: RawConfig, overrides: Overrides) -> RawConfig:
    """Change a config's values by overrides, in order, and return it. Raises ConfigError."""
    for key, value, option in overrides_of(overrides):
        _override(config, key, _plain(option, value, (key,)), option)
    return config


def parents(path: Path) -> list[Path]:
    """Return the configs that a config extends, directly or not. Raises ConfigError as `read` does."""
    read(path)
    direct = _parents(path, _load(path).get("extends", []), (path.resolve(),))
    return [*direct, *(other for parent in direct for other in parents(parent))]


def from_values(values: dict[str, Any], file: str, overrides: Overrides = ()) -> RawConfig:
    """Make a config from values that are already read (from a checkpoint), with overrides. Raises ConfigError."""
    return override(RawConfig(json.loads(json.dumps(values)), file), overrides)


def key_text(key: KeyPath) -> str:
    """Return the key as text: `trainer.epochs`, `metrics[0].type`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def key_path(text: str) -> KeyPath:
    """Return the key that `key_text` wrote as `text`: names between dots, numbers in brackets."""
    return tuple(int(part) if re.fullmatch("[0-9]{1,9}", part) else part for part in _steps(text))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest known words, or an empty text if none is near."""
    nearest = [f'"{candidate}"' for candidate in suggestions(word, known)]
    return f" (did you mean {' or '.join(nearest)}?)" if nearest else ""


def suggestions(word: str, known: Iterable[str]) -> list[str]:
    """Return the known word with the fewest edits from `word`: at most a third of its letters (or 2, but fewer than all).

    Of equally near words take the one with the longest common beginning, then one of the same length: most typos change or
    swap letters within a word. If several words are a single edit away, return up to three of them.
    """
    limit = min(max(2, len(word) // 3), len(word) - 1)
    near = []
    for candidate in known:
        if abs(len(candidate) - len(word)) <= limit and (edits := edit_distance(word.lower(), candidate.lower())) <= limit:
            alike = len(os.path.commonprefix([word, candidate]))  # noqa: RUF071 - of letters
            near.append((edits, -alike, len(word) != len(candidate), candidate))
    near.sort()
    return [candidate for edits, *_, candidate in near[:3] if edits == 1 or candidate == near[0][-1]]


def edit_distance(a: str, b: str) -> int:
    """Return the fewest insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.

    The method is optimal string alignment (Damerau, 1964; no substring is edited twice).
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
    """Yield every key at which two plain values differ, with the old and the new value (None if the key is missing)."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from differences(old.get(name), new.get(name), (*key, name))
    elif old != new:
        yield key, old, new


# Reading one file ---------------------------------------------------------------------------------------------------


class _Twice(dict[str, Any]):
    """A JSON object in which a key was given twice."""

    keys_twice: list[str]


@dataclass(frozen=True)
class _NotANumber:
    text: str

    def __str__(self) -> str:
        return self.text


def _plain(source: str, value: Any, key: KeyPath = ()) -> Any:
    """Return a copy of a value as JSON would hold it; a path becomes its text. Raises ConfigError if JSON cannot hold it."""
    problems = list(_forbidden(source, value, key))
    if problems:
        raise ConfigError(problems)
    try:
        return json.loads(json.dumps(value, default=os.fspath))
    except (TypeError, ValueError, RecursionError) as error:
        message = f"holds what no config can hold ({error}); allowed: what JSON has"
        raise ConfigError([Problem(source, key_text(key), message)]) from None


def _with_parents(path: Path, values: dict[str, Any], chain: tuple[Path, ...]) -> RawConfig:
    schema = values.pop("$schema", "")  # for editors
    if not isinstance(schema, str):
        raise ConfigError([Problem(str(path), "$schema", f"found {show(schema)}; allowed: the file name of a JSON schema")])
    merged = RawConfig({}, str(path))
    chain = (*chain, path.resolve())
    for parent in _parents(path, values.pop("extends", []), chain):
        base = _with_parents(parent, _load(parent), chain)
        _merge(merged, base.values, base.origins, base.file)
    _merge(merged, values, {}, str(path))
    return merged


def _parents(path: Path, extends: Any, chain: tuple[Path, ...]) -> list[Path]:
    """Return the files that a config extends. Refuse a file in `chain`, the files that lead to this config."""
    names = [extends] if isinstance(extends, str) else extends
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError([Problem(str(path), "extends", f"found {show(extends)}; allowed: a file name, or a list of them")])
    parents = [path.parent / name for name in names]
    for name, parent in zip(names, parents, strict=True):
        if not os.path.isfile(parent):  # unlike Path.is_file, it never raises
            near = did_you_mean(Path(name).name, _names_in(parent.parent))
            raise ConfigError([Problem(str(path), "extends", f"found {show(name)}{near}; there is no such file")])
        if parent.resolve() in chain:
            circle = " -> ".join(p.name for p in (*chain[chain.index(parent.resolve()) :], parent))
            raise ConfigError([Problem(str(path), "extends", f"goes in a circle: {circle}")])
    return parents


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError([Problem(str(path), "", f"is over {MAX_BYTES:,} bytes, which no config is")])
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}{_meant_file(path)}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), "", f"is not UTF-8 text (byte {error.start})")]) from None
    values = _parse(str(path), text)
    if not isinstance(values, dict):
        raise ConfigError([Problem(str(path), "", f"found {show(values)}; a config is a JSON object {{…}}")])
    problems = list(_forbidden(str(path), values, ()))
    if problems:
        raise ConfigError(problems)
    return values


def _meant_file(path: Path) -> str:
    """Return a hint on the config that a name could mean: with its ending, in `configs/`, or of nearly this name."""
    name = path.name if path.suffix == ".json" else f"{path.name}.json"
    folders = dict.fromkeys((path.parent, Path("configs"), Path("configs/examples")))
    if there := [folder / name for folder in folders if os.path.isfile(folder / name)]:
        return f' (did you mean "{there[0]}"?)'
    near = {known: folder for folder in reversed(folders) for known in _names_in(folder) if known.endswith(".json")}
    return did_you_mean(name, near) and f' (did you mean "{near[suggestions(name, near)[0]] / suggestions(name, near)[0]}"?)'


def _parse(source: str, text: str) -> Any:
    """Parse JSON with // and /* */ comments; mark keys given twice and numbers that are not finite for `_forbidden`."""
    if not text.strip():
        raise ConfigError([Problem(source, "", "is empty")])
    try:
        blanked = _COMMENT.sub(_blank, text)
        return json.loads(blanked, object_pairs_hook=_object, parse_constant=_NotANumber, parse_float=_finite, parse_int=_integer)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError([Problem(source, place, f"is not JSON: {error.msg.lower()}")]) from None
    except RecursionError:
        raise ConfigError([Problem(source, "", "is nested too deeply")]) from None


def _blank(match: re.Match[str]) -> str:
    """Replace a comment by spaces, so that columns stay right; keep strings, and comments that are not closed (an error)."""
    text = match[0]
    kept = text[0] == '"' or (text.startswith("/*") and not text.endswith("*/", 2))
    return text if kept else re.sub(r"[^\n]", " ", text)


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
    return int(text) if len(text.removeprefix("-")) <= MAX_DIGITS else _NotANumber(text[:20] + "…")


def _forbidden(source: str, value: Any, key: KeyPath) -> Iterator[Problem]:
    if len(key) > MAX_DEPTH:
        yield Problem(source, key_text(key[:3]), f"is nested more than {MAX_DEPTH} deep")
        return
    if isinstance(value, _NotANumber) or (isinstance(value, float) and not math.isfinite(value)):
        allowed = f"finite numbers, whole ones with at most {MAX_DIGITS} digits"
        yield Problem(source, key_text(key), f"found {value}; allowed: {allowed}")
    if isinstance(value, str) and _BAD_TEXT.search(value):
        yield Problem(source, key_text(key), f"found {show(value)}; allowed: {_GOOD_TEXT}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _forbidden(source, item, (*key, index))
    if isinstance(value, dict):
        yield from _forbidden_keys(source, value, key)
        for name, item in value.items():
            yield from _forbidden(source, item, (*key, name))


def _forbidden_keys(source: str, value: dict[str, Any], key: KeyPath) -> Iterator[Problem]:
    for name in value.keys_twice if isinstance(value, _Twice) else ():
        yield Problem(source, key_text((*key, name)), "is given twice; keep one")
    for name in filter(_BAD_TEXT.search, value):
        yield Problem(source, key_text(key), f"has the key {show(name)}; allowed: {_GOOD_TEXT}")


def show(value: Any) -> str:
    """Return the value for a message: JSON, at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


# Merging ------------------------------------------------------------------------------------------------------------


def _merge(config: RawConfig, values: dict[str, Any], origins: dict[KeyPath, str], file: str) -> None:
    """Put `values` over the config: objects merge key by key, but a part with another `type` replaces the old part."""
    source = RawConfig(values, file, origins)
    config.values = _merge_values(config, config.values, values, source, ())


def _merge_values(config: RawConfig, old: Any, new: Any, source: RawConfig, key: KeyPath) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict) or _other_type(old, new):
        _forget_origins(config, key)
        _note_origins(config, new, source, key)
        return new
    merged = dict(old)
    for name, value in new.items():
        merged[name] = _merge_values(config, old.get(name), value, source, (*key, name))
    return merged


def _other_type(old: dict[str, Any], new: dict[str, Any]) -> bool:
    types = [values.get("type") for values in (old, new)]
    return all(isinstance(name, str) for name in types) and types[0] != types[1]


def _forget_origins(config: RawConfig, key: KeyPath) -> None:
    config.origins = {k: file for k, file in config.origins.items() if k[: len(key)] != key}


def _note_origins(config: RawConfig, value: Any, source: RawConfig, key: KeyPath) -> None:
    if key:
        config.origins[key] = source.origin(key)
    for name, item in value.items() if isinstance(value, dict) else ():
        _note_origins(config, item, source, (*key, name))


def _parse_value(text: str) -> Any:
    """Return the text's value if it is JSON, else the text itself: `--set name=demo` needs no quotes."""
    try:
        return _parse("--set", text)
    except ConfigError:
        return text


def _steps(dotted: str) -> list[str]:
    return [part for part in re.split(r"[.\[\]]+", dotted) if part]


def _override(config: RawConfig, dotted: str, value: Any, option: str) -> None:
    key: KeyPath = ()
    place: Any = config.values
    *steps, last = _steps(dotted)
    for step in steps:
        part = _part(place, step, option, dotted, key)
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        key = (*key, part)
    part = _part(place, last, option, dotted, key)
    place[part] = value
    _forget_origins(config, (*key, part))
    config.origins[*key, part] = option


def _part(place: Any, step: str, option: str, dotted: str, key: KeyPath) -> str | int:
    """Return a step of a dotted key as a name (in an object) or an index (in a list).

    Raises ConfigError if the list has no such index, or `place` is neither an object nor a list.
    """
    if isinstance(place, dict):
        return step
    if isinstance(place, list) and re.fullmatch("[0-9]{1,9}", step) and int(step) < len(place):
        return int(step)
    raise ConfigError([Problem(option, dotted, f"{key_text(key)} holds {show(place)}, which has no {step}")])
