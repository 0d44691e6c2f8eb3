"""Crops: boxes from a file to which pictures are cut; the same in training, evaluation and submission."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from base.table import SampleTable, some
from base.types import Count
from data_loader.formats.csv_reader import read_csv
from data_loader.pictures.decode import Box, Size
from data_loader.pictures.image_header import header_sizes
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

HEADER = ("path", "s_X", "s_Y", "e_X", "e_Y")
FOUND = ("found_by", "confidence")  # further columns of the file that `python laurel.py crop` writes
COLUMN = "crop"  # column of a table: fixed_size_list<int32>[4], a Box of each picture
LINES = 20  # largest number of problems that an error names


class Crops(Settings):
    """The box file to which every picture is cut before it is resized, and its rules."""

    file: str = Field(
        description="CSV file below the data folder with columns path,s_X,s_Y,e_X,e_Y, as `python laurel.py crop` "
        "writes it: corners in pixels of the upright picture, paths below the data folder or the reader's root"
    )
    outside: Literal["error", "clip"] = Field(
        default="error", description="refuse a box that reaches beyond its picture, or clip it"
    )
    margin: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.0, description="share of a box's width and height by which it is enlarged on each side, up to the border"
    )
    min_size: Count = Field(
        default=16, description="smallest side of a cropper's box in pixels; for a smaller box the next cropper is asked"
    )

    def around(self, box: Box, size: Size) -> Box:
        """Return a box with the margin, cut at the border of a picture of this height and width."""
        x, y = round(self.margin * (box[2] - box[0])), round(self.margin * (box[3] - box[1]))
        return max(0, box[0] - x), max(0, box[1] - y), min(size[1], box[2] + x), min(size[0], box[3] + y)


class Listed(NamedTuple):
    """A line of a box file."""

    line: int
    box: Box
    found_by: str
    confidence: str


class BoxFile(NamedTuple):
    """The content of a box file: one box for each path."""

    path: Path
    boxes: Mapping[str, Listed]

    def of(self, data_dir: Path, picture: Path, root: Path) -> Listed | None:
        """Return the line of a picture, or None.

        The paths in the file are relative to the data folder, or else to the reader's root.
        """
        for name in (relative(picture, data_dir), relative(picture, root), str(picture)):
            if name in self.boxes:
                return self.boxes[name]
        return None


def relative(path: Path, folder: Path) -> str:
    """Return a path below a folder with / between names; the absolute path if it is elsewhere."""
    below = os.path.relpath(path, folder)
    return os.path.abspath(path) if below.split(os.sep)[0] == ".." else below.replace(os.sep, "/")


def read_boxes(path: Path) -> BoxFile:
    """Return the boxes of a CSV file, rounded to whole pixels. Raises UserError with a line for each wrong line."""
    names, rows, lines, _ = read_csv(path)
    for wanted in HEADER:
        if wanted not in names:
            raise UserError(f"{path}: line 1: no column {wanted}{did_you_mean(wanted, names)}; there are: {', '.join(names)}")
    boxes: dict[str, Listed] = {}
    problems = []
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(names, row, strict=True))
        name = os.path.normpath(cells["path"]).replace(os.sep, "/")
        corners = [_number(cells[side]) for side in HEADER[1:]]
        problem = _wrong(corners, [cells[side] for side in HEADER[1:]])
        if name in boxes:
            problem = f"is listed on line {boxes[name].line} too"
        if problem:
            problems.append(f"{path}: line {line}: {some([cells['path']])}: {problem}")
            continue
        x1, y1, x2, y2 = map(round, corners)
        boxes[name] = Listed(line, (x1, y1, x2, y2), *(cells.get(column, "") for column in FOUND))
    refuse(problems)
    return BoxFile(path, boxes)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _wrong(corners: list[float], texts: list[str]) -> str:
    """Return the problem of a box independently of its picture; empty if there is none."""
    box = f"the box ({', '.join(texts)})"
    if not all(map(math.isfinite, corners)):
        return f"{box} is no four numbers"
    x1, y1, x2, y2 = map(round, corners)
    if x2 < x1 or y2 < y1:
        return f"{box} has its corners swapped; allowed: s_X below e_X, s_Y below e_Y"
    return f"{box} has no area" if x1 == x2 or y1 == y2 else ""


def fit(box: Box, size: Size, outside: Literal["error", "clip"]) -> tuple[Box | None, str]:
    """Return a box within a picture of (height, width), and its problem; None for a box that cannot be used."""
    x1, y1, x2, y2 = max(0, box[0]), max(0, box[1]), min(size[1], box[2]), min(size[0], box[3])
    if (x1, y1, x2, y2) == box:
        return box, ""
    problem = f"the box ({', '.join(map(str, box))}) is not within the picture's {size[1]} x {size[0]} pixels"
    usable = outside == "clip" and x1 < x2 and y1 < y2
    return ((x1, y1, x2, y2) if usable else None), problem


def with_boxes(table: SampleTable, data_dir: Path, crops: Crops, file: BoxFile) -> tuple[SampleTable, int]:
    """Return the table with the column `crop`, the box of each picture with margin, and the number of clipped boxes.

    A picture that cannot be read needs no box. Raises UserError with a line for each picture without a box, or with a box that
    is not within the picture.
    """
    paths = [table.path(row) for row in range(len(table))]
    boxes = np.zeros((len(table), 4), np.int32)
    problems, missing, clipped = [], [], 0
    for row, (path, size) in enumerate(zip(paths, header_sizes(list(map(str, paths))), strict=True)):
        listed = file.of(data_dir, path, table.root)
        if isinstance(size, str):
            continue
        if listed is None:
            missing.append(relative(path, data_dir))
            continue
        box, problem = fit(listed.box, size, crops.outside)
        if box is None:
            problems.append(f"{file.path}: line {listed.line}: {some([relative(path, data_dir)])}: {problem}")
            continue
        clipped += bool(problem)
        boxes[row] = crops.around(box, size)
    if missing:
        advice = "python laurel.py crop writes a line for every picture"
        problems.append(f"{file.path}: {len(missing):,} pictures have no box ({some(missing)}); {advice}")
    refuse(problems)
    column = pa.FixedSizeListArray.from_arrays(pa.array(boxes.reshape(-1)), 4)
    return table.with_column(COLUMN, column), clipped


def boxes_of(table: SampleTable) -> np.ndarray:
    """Return the box of each picture, (N, 4) int32 xyxy."""
    flat = table.columns[COLUMN].combine_chunks().flatten()
    return np.asarray(flat.to_numpy()).reshape(-1, 4)


def fingerprint(tables: Iterable[SampleTable]) -> str:
    """Return the SHA-256 over the ids and boxes of the tables' samples."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update("\0".join(table.ids()).encode() + b"\n" + boxes_of(table).astype("<i4").tobytes())
    return digest.hexdigest()


def refuse(problems: list[str]) -> None:
    """Raise UserError with the first problems, one on each line, if there are any."""
    more = [f"… and {len(problems) - LINES:,} more"] if len(problems) > LINES else []
    if problems:
        raise UserError("\n".join([*problems[:LINES], *more]))
