"""The boxes of the data's pictures from a box file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from base.table import SampleTable
from data_loader.crop import crops
from data_loader.crop.crops import BoxFile, Crops
from data_loader.pictures.decode import Box


class GivenBoxes:
    """The boxes to which the pictures of the data are cut, from the file of the config's `crops`."""

    def __init__(self, crops: Crops, data_dir: Path) -> None:
        self.crops, self.data_dir = crops, data_dir
        self._boxes: dict[str, tuple[SampleTable, np.ndarray]] = {}  # split -> (N, 4) int32: faster than the table's cells

    @cached_property
    def file(self) -> BoxFile:
        """The boxes of the file. Raises UserError if the file is wrong."""
        return crops.read_boxes(self.data_dir / self.crops.file)

    def add(self, *tables: SampleTable) -> tuple[list[SampleTable], list[str]]:
        """Return the tables with the box of each picture, and a line with the number of clipped boxes.

        Raises UserError for each picture without a box, or with a box that is not within the picture.
        """
        with_boxes, clipped = zip(
            *(crops.with_boxes(table, self.data_dir, self.crops, self.file) for table in tables), strict=True
        )
        clips = f", {sum(clipped):,} of them clipped to their picture" if any(clipped) else ""
        return list(with_boxes), [f"pictures are cut to the boxes of {self.file.path}{clips}"]

    def of(self, split: str, table: SampleTable, row: int) -> Box:
        """Return the box of a sample. table: the split's table, as `add` returned it."""
        if split not in self._boxes or self._boxes[split][0] is not table:
            self._boxes[split] = table, crops.boxes_of(table)
        x1, y1, x2, y2 = self._boxes[split][1][row].tolist()
        return x1, y1, x2, y2

    def fingerprint(self, tables: Iterable[SampleTable]) -> dict[str, str]:
        """Return the SHA-256 of the boxes of some tables, by config key."""
        return {"data_loader.args.crops": crops.fingerprint(tables)}
