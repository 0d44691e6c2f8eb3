"""Near duplicates: neighbouring frames of a video, and copies that were rotated, mirrored or resized.

Such pictures must be on one side of a split; otherwise validation repeats pictures that the model was trained on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from base.table import SampleTable, some
from data_loader.formats.csv_reader import read_csv
from data_loader.pictures.decode import ImageError, read_image
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

SIDE = 17  # pixels of the thumbnail that is hashed
BITS = SIDE * (SIDE - 1)
COLUMN = "source"
HEADER = ("id", COLUMN)
_ROWS, _COLUMNS = 2048, 8192  # size of the block of distances that is in memory at a time
_AT_ONCE = 1024


class Sources(Settings):
    """The sources of pictures, by nearly equal hashes or from a file; they become the column `source`."""

    within: Annotated[int, Field(ge=0, lt=BITS // 2)] | None = Field(
        default=None,
        description=f"largest number of the {BITS} bits of the hashes that may differ between pictures of one source",
    )
    file: str | None = Field(
        default=None, description="CSV file with columns id and source, as written by `python laurel.py groups`"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Sources:
        if (self.within is None) == (self.file is None):
            raise ValueError("either within or file")
        return self

    def add(self, table: SampleTable) -> SampleTable:
        """Return the table with the column `source`. Raises UserError if the file does not name every sample."""
        names = near_duplicates(table, self.within) if self.within is not None else _from_file(table, Path(self.file or ""))
        return table.with_column(COLUMN, pa.array(names, pa.string()))


def near_duplicates(table: SampleTable, within: int) -> list[str]:
    """Return for every sample the first id of its group of linked samples; a sample without links is its own group.

    Two pictures are linked if the difference hashes (signs of horizontal differences of a grey thumbnail, after Krawetz, "Kind
    of Like That", 2013) differ in at most `within` of 272 bits in any of the eight orientations of one of them. A chain of
    links makes one group. All pairs are compared. A picture that cannot be read is alone.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    thumbnails = list(_thumbnails(table))
    rows = np.flatnonzero([thumbnail is not None for thumbnail in thumbnails])
    stack = np.stack([t for t in thumbnails if t is not None]) if len(rows) else np.zeros((0, SIDE, SIDE), np.uint8)
    pairs = np.concatenate([rows[near] for near in _near(stack, within)] or [np.zeros((0, 2), np.int64)])
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(table), len(table)))
    groups = connected_components(links, directed=False)[1]
    ids = table.ids()
    first: dict[int, str] = {}
    for row, group in enumerate(groups.tolist()):
        first[group] = min(first.get(group, ids[row]), ids[row])
    return [first[group] for group in groups.tolist()]


def _thumbnails(table: SampleTable) -> Iterator[np.ndarray | None]:
    """Yield for each sample a grey thumbnail, (17, 17) uint8; None if the picture cannot be read."""

    def look(row: int) -> np.ndarray | None:
        try:
            grey: np.ndarray = cv2.cvtColor(read_image(table.path(row), (SIDE, SIDE)), cv2.COLOR_RGB2GRAY)
        except ImageError:
            return None
        return grey

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(table), _AT_ONCE):
            yield from pool.map(look, range(start, min(start + _AT_ONCE, len(table))))


def _near(thumbnails: np.ndarray, within: int) -> Iterator[np.ndarray]:
    """Yield pairs of near thumbnails, (n, 2) int64. thumbnails: (N, 17, 17) uint8."""
    signs = _signs(thumbnails)
    for turns in range(4):
        for turned in (np.rot90(thumbnails, turns, (1, 2)), np.rot90(thumbnails, turns, (1, 2))[:, :, ::-1]):
            others = _signs(turned)
            for top in range(0, len(signs), _ROWS):
                for left in range(top - top % _COLUMNS, len(signs), _COLUMNS):
                    # The product of vectors of +1 and -1 is the number of equal places minus the number of different places.
                    equal = signs[top : top + _ROWS] @ others[left : left + _COLUMNS].T
                    near = np.argwhere(equal >= BITS - 2 * within) + np.array([top, left])
                    yield near[near[:, 0] < near[:, 1]]


def _signs(thumbnails: np.ndarray) -> np.ndarray:
    """Return (N, 272) float32: +1 if a pixel is darker than its right neighbour, else -1. thumbnails: (N, 17, 17) uint8."""
    brighter = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    return np.where(brighter, np.float32(1), np.float32(-1)).reshape(len(thumbnails), -1)


def _from_file(table: SampleTable, path: Path) -> list[str]:
    names, rows, _, _ = read_csv(path)
    for wanted in HEADER:
        if wanted not in names:
            raise UserError(f"{path}: line 1: no column {wanted}{did_you_mean(wanted, names)}; there are: {', '.join(names)}")
    sources = {row[names.index("id")]: row[names.index(COLUMN)] for row in rows}
    missing = [name for name in table.ids() if not sources.get(name)]
    if missing:
        raise UserError(f"{path}: {len(missing)} samples have no source ({some(missing)}); write the file anew")
    return [sources[name] for name in table.ids()]
