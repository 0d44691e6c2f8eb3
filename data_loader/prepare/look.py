"""Look at a folder or an annotation file, by names and headers alone, and propose a config for it."""

from __future__ import annotations

import importlib
import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from base.table import some
from data_loader.formats.csv_reader import Rows, read_csv
from data_loader.formats.names import NameIndex
from data_loader.formats.pattern_reader import files_below, is_picture
from data_loader.pictures.image_header import header_sizes
from utils.errors import UserError

SIDES = {
    "train": ("train", "training", "trn", "train2017"),
    "valid": ("val", "valid", "validation", "validate", "dev", "val2017"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "test2017", "predict"),
}
PERSON_WORDS = ("person", "people", "identity", "subject", "face_id", "patient", "driver", "individual")
PRETRAINED = "true begins with weights of ImageNet, which are downloaded: better with few pictures"
SIDE_COLUMNS = ("part", "split", "set", "subset", "side", "partition", "phase", "usage", "dataset", "fold", "data_set")
SHOWN = 12  # classes that a line names
SIZED = 200  # pictures whose headers are read
TASKS = Path(__file__).parents[1]


def side_of(text: str) -> str | None:
    """Return the side (train, valid or test) that a word names, None if it names no side."""
    return next((side for side, words in SIDES.items() if text.strip().lower() in words), None)


class Listed(NamedTuple):
    """A column that names pictures, their folder below the data folder, the ending to add, and the picture of each row."""

    column: str
    root: str
    suffix: str
    pictures: list[str | None]  # below the data folder; None for a row whose picture is not there

    @property
    def share(self) -> float:
        """The share of the rows whose picture is there."""
        return sum(picture is not None for picture in self.pictures) / max(1, len(self.pictures))


class Look:
    """The files below a folder; or one annotation file, with the files below its folder."""

    def __init__(self, path: Path, task: str | None = None) -> None:
        """Look at the names below a path. task: the task that is asked for, None for any."""
        if not path.exists():
            raise UserError(f"{path}: is not there; give a folder with pictures, or a file of annotations")
        self.path, self.file, self.task = path, None if path.is_dir() else path.name, task
        self.data_dir = path if path.is_dir() else path.parent
        self.files = sorted(files_below(self.data_dir))
        self.pictures = [name for name in self.files if is_picture(name)]

    def named(self, *endings: str) -> list[str]:
        """Return the annotation files with an ending: the given file alone, or else all files."""
        names = self.files if self.file is None else [self.file]
        return [name for name in names if name.lower().endswith(endings)]

    @cached_property
    def index(self) -> NameIndex:
        """The pictures, to be found by other names."""
        return NameIndex(self.pictures)

    @cached_property
    def sides(self) -> dict[str | None, list[str]]:
        """Side (None for none) -> its pictures, by the first folder in their path that is the word for a side."""
        found: dict[str | None, list[str]] = {}
        for picture in self.pictures:
            found.setdefault(self.side(picture), []).append(picture)
        return found

    def side(self, path: str) -> str | None:
        """Return the side that a folder in a path names, None if no folder does."""
        return next((side for part in path.split("/")[:-1] if (side := side_of(part)) is not None), None)

    @cached_property
    def to_train(self) -> list[str]:
        """The pictures to train on: those of the training side, or those of no side."""
        return self.sides.get("train") or self.sides.get(None) or []

    def table(self, name: str) -> Rows | None:
        """Return the rows of a CSV file; None if the file is no table."""
        try:
            return read_csv(self.data_dir / name)
        except UserError:
            return None

    def listed(self, rows: Rows, folder: str = "") -> Listed | None:
        """Return the column of a table that names pictures, None if no column does. folder: of the table."""
        return max(self.all_listed(rows, folder), key=lambda listed: (listed.share, not listed.suffix), default=None)

    def all_listed(self, rows: Rows, folder: str = "") -> list[Listed]:
        """Return all columns of a table that name pictures, in their order."""
        columns = ((column, [row[place] for row in rows.rows]) for place, column in enumerate(rows.names))
        return [found for column, values in columns if (found := self._listed(column, values, folder)) is not None]

    def _listed(self, column: str, values: Sequence[str], folder: str) -> Listed | None:
        """Return where a column's pictures are; None if fewer than half of its first values are names of pictures."""
        tried = [self.index.find(value).names for value in list(dict.fromkeys(values))[:50] if value]
        if not tried or sum(map(bool, tried)) * 2 < len(tried) or (number_column(values) and len(set(values)) < len(values)):
            return None
        roots = Counter(root_of(value, names[0]) for value, names in zip(dict.fromkeys(values), tried, strict=False) if names)
        known = [root for root in roots if root is not None]
        # A name without its folder may be in several: the folder beside the table is meant.
        near = sorted(known, key=lambda root: (not root[0].startswith(folder), -roots[root]))
        root, suffix = near[0] if near else (".", "")
        own = self.index.known
        whole = [posixpath.normpath(posixpath.join(root, value)) + suffix for value in values]
        pictures = [name if name in own else self._found(value) for name, value in zip(whole, values, strict=True)]
        return Listed(column, root, suffix, pictures)

    def _found(self, value: str) -> str | None:
        """Return the first picture that a written name may mean, None if there is none."""
        return next(iter(self.index.find(value).names), None)

    def size(self, pictures: Sequence[str], longest: int, multiple: int, smallest: int = 32) -> list[int]:
        """Return height and width in pixels for training: the proportions of most pictures, the longer side at most `longest`."""
        step = max(1, len(pictures) // SIZED)
        headers = header_sizes([f"{self.data_dir}/{name}" for name in pictures[::step]])
        sizes = [size for size in headers if not isinstance(size, str)]
        if not sizes:
            return [longest, longest]
        height, width = np.median(np.array(sizes, float), axis=0)
        scale = min(1.0, longest / max(height, width))
        return [max(smallest, round(side * scale / multiple) * multiple) for side in (height, width)]


def root_of(value: str, picture: str) -> tuple[str, str] | None:
    """Return the folder and the ending with which a written name is a picture's path; None if it is written otherwise."""
    tidy = posixpath.normpath(value.replace("\\", "/"))
    stem, ending = posixpath.splitext(picture)
    for whole, suffix in ((picture, ""), (stem, ending)):
        if whole == tidy:
            return ".", suffix
        if whole.endswith(f"/{tidy}"):
            return whole[: -len(tidy) - 1], suffix
    return None


def common_folder(pictures: Sequence[str]) -> str:
    """Return the deepest folder that holds all pictures, `.` for the data folder itself."""
    return posixpath.commonpath([posixpath.dirname(picture) for picture in pictures]) or "."


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?", text.strip()) is not None


def number_column(values: Iterable[str]) -> bool:
    """Return whether every value is a number, or missing."""
    return all(not value.strip() or _is_number(value) for value in values)


def counted(names: Mapping[str, int]) -> str:
    """Return classes with their counts, on one line."""
    return some([f"{name or '(nothing)'} {count:,}" for name, count in names.items()], SHOWN)


@dataclass
class Proposal:
    """A format that was recognised: what was found, and a config that trains on it.

    strength: 3 for a format that names its files, 2 for a pattern of names, 1 for folders. Among the proposals of different
    strength the strongest counts.
    """

    format: str
    task: str
    strength: int
    lines: list[str] = field(default_factory=list)  # of what was found, `noun  text`
    args: dict[str, Any] = field(default_factory=dict)  # of the loader
    rest: dict[str, Any] = field(default_factory=dict)  # the sections of the config beside the loader's arguments
    remarks: dict[str, str] = field(default_factory=dict)  # dotted key -> comment above it


Recogniser = Callable[[Look], Proposal | None]


def recognisers() -> dict[str, dict[str, Recogniser]]:
    """Return task -> format -> function, of every task that has a module `recognise` with a table `FORMATS` and a `LOADER`."""
    rooms = sorted(path.parent.name for path in TASKS.glob("*/recognise.py"))
    return {room: importlib.import_module(f"data_loader.{room}.recognise").FORMATS for room in rooms}


def loader_of(task: str) -> str:
    """Return the registered name of the loader of a task's proposals."""
    loader: str = importlib.import_module(f"data_loader.{task}.recognise").LOADER
    return loader


def propose(look: Look, format: str | None = None) -> Proposal:
    """Return the proposal for a folder or file. Raises UserError, one line, if nothing or more than one format is recognised."""
    known = {room: formats for room, formats in recognisers().items() if look.task in (None, room)}
    chosen = [recognise for formats in known.values() for name, recognise in formats.items() if format in (None, name)]
    if not chosen:
        names = sorted({name for formats in known.values() for name in formats})
        raise UserError(f"--format {format}: unknown{f' for {look.task}' if look.task else ''}; allowed: {', '.join(names)}")
    if not look.pictures:
        raise UserError(f"{look.data_dir}: holds no pictures; give the folder that has them, with their annotations in it")
    found = [proposal for recognise in chosen if (proposal := recognise(look)) is not None]
    strongest = [one for one in found if one.strength == max(other.strength for other in found)]
    if len(strongest) > 1:
        several = ", ".join(f"{one.format} ({one.task})" for one in strongest)
        key = "--format" if len({one.format for one in strongest}) > 1 else "--task"
        raise UserError(f"{look.path}: holds several formats: {several}; say which with {key}")
    if not strongest:
        raise UserError(f"{look.path}: {_nothing(look, sorted(known), format)}")
    return strongest[0]


def _nothing(look: Look, tasks: Collection[str], format: str | None) -> str:
    """Return why nothing was recognised, and what to do."""
    tables = look.named(".csv", ".tsv")
    if look.file is not None and tables:
        rows = look.table(look.file)
        columns = f"the columns {some(rows.names, 20)}" if rows is not None else "no table"
        return f"has {columns}, of which none names pictures below {look.data_dir} beside labels; mend the paths or give --format"
    wanted = f"as {format}" if format else f"for {', '.join(tasks)}"
    return (
        f"{len(look.pictures):,} pictures, but no annotations {wanted}: needed is a folder for each class or person, labels in "
        "the names, or a CSV, JSON, XML or YOLO file"
    )


# Writing ------------------------------------------------------------------------------------------------------------


def written(values: Mapping[str, Any], remarks: Mapping[str, str], head: str) -> str:
    """Return a config as JSON with comments. remarks: dotted key -> comment above the key. head: comment above everything."""
    return f"// {head}\n" + "\n".join(_lines(values, remarks, "", "")) + "\n"


def _lines(value: Any, remarks: Mapping[str, str], key: str, indent: str) -> Iterator[str]:
    """Yield the lines of a value; an object or list that fits on a line, and has no remark in it, is on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    commented = any(other.startswith(f"{key}." if key else "") for other in remarks)
    if not isinstance(value, dict | list) or not value or (len(flat) + len(indent) <= 110 and not commented and key):
        yield flat
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield opening
    items = list(value.items()) if isinstance(value, dict) else [(str(place), item) for place, item in enumerate(value)]
    for number, (name, item) in enumerate(items):
        below = f"{key}.{name}" if key else name
        if below in remarks:
            yield f"{indent}  // {remarks[below]}"
        first, *more = _lines(item, remarks, below, f"{indent}  ")
        lines = [f"{json.dumps(name, ensure_ascii=False)}: {first}" if isinstance(value, dict) else first, *more]
        lines[-1] += "," if number + 1 < len(items) else ""
        yield f"{indent}  {lines[0]}"
        yield from lines[1:]
    yield f"{indent}{closing}"
