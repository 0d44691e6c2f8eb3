"""What a loader's pictures are cut to: those of the data by the box file, others by the croppers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from base.table import SampleTable
from data_loader.crop import crops
from data_loader.crop.croppers import BaseCropper, look, names
from data_loader.crop.crops import BoxFile, Crops
from data_loader.pictures.decode import Box

NO_CROPPERS = "not cut, though the pictures of the data are: the config names no croppers"


class Cutting:
    """A config's `crops` and `croppers`. crops: None where pictures stay whole."""

    def __init__(self, crops: Crops | None, croppers: Sequence[BaseCropper], data_dir: Path) -> None:
        self.crops, self.croppers, self.data_dir = crops, list(croppers), data_dir
        self._boxes: dict[str, tuple[SampleTable, np.ndarray]] = {}  # by split, (N, 4) int32: found faster than in its cells

    @property
    def blind(self) -> bool:
        """Whether pictures of the data are cut, and nothing knows how to cut others."""
        return self.crops is not None and not self.croppers

    @cached_property
    def file(self) -> BoxFile:
        """The boxes that are given. Raises UserError."""
        assert self.crops is not None
        return crops.read_boxes(self.data_dir / self.crops.file)

    def boxed(self, *tables: SampleTable) -> tuple[list[SampleTable], list[str]]:
        """The tables with what each picture is cut to, and a line about that; as they are where pictures stay whole."""
        if self.crops is None:
            return list(tables), []
        with_boxes, clipped = zip(
            *(crops.with_boxes(table, self.data_dir, self.crops, self.file) for table in tables), strict=True
        )
        clips = f", {sum(clipped):,} of them clipped to their picture" if any(clipped) else ""
        return list(with_boxes), [f"pictures are cut to the boxes of {self.file.path}{clips}"]

    def box(self, split: str, table: SampleTable, row: int) -> Box | None:
        """What a sample's picture is cut to; None where it stays whole. table: of the split, with boxes."""
        if self.crops is None:
            return None
        if split not in self._boxes or self._boxes[split][0] is not table:
            self._boxes[split] = table, crops.boxes_of(table)
        x1, y1, x2, y2 = self._boxes[split][1][row].tolist()
        return x1, y1, x2, y2

    def found(self, image: np.ndarray) -> tuple[Box, str]:
        """What a picture that is not of the data is cut to, and a note for who sent it, empty where pictures stay whole.

        image: (H, W, 3) uint8 RGB. Raises UserError where a cropper's model cannot be used.
        """
        height, width = image.shape[:2]
        if self.crops is None:
            return (0, 0, width, height), ""
        if self.blind:
            return (0, 0, width, height), NO_CROPPERS
        seen = look(image, self.croppers, self.crops.min_size)
        if seen.box is None:
            return (0, 0, width, height), "not cut: no cropper finds anything in it"
        return self.crops.around(seen.box, (height, width)), f"cut to what {seen.found_by} finds"

    def fingerprint(self, tables: Callable[[], Iterable[SampleTable]]) -> dict[str, str]:
        """SHA-256 of the boxes of some tables, by config key; they are read only where pictures are cut."""
        return {} if self.crops is None else {"data_loader.args.crops": crops.fingerprint(tables())}

    def described(self) -> dict[str, Any]:
        """In plain values."""
        return {} if self.crops is None else {"crops": {**self.crops.model_dump(), "croppers": names(self.croppers)}}
