"""Base class of the readers of boxes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from base.base_reader import BaseReader
from base.detection.objects import COLUMNS
from base.table import SampleTable
from data_loader.detection.formats.annotations import Annotations, Invalid, finish


class ObjectReader(BaseReader):
    """A reader of images with boxes. `root`, `invalid`, `trust_sizes` and `unannotated` are the subclass's arguments."""

    root: str
    invalid: Invalid
    trust_sizes: bool
    unannotated: Literal["background", "leave_out"]

    @classmethod
    def columns(cls, args: Any) -> set[str]:
        """Return the columns of every reader of boxes."""
        return set(COLUMNS)

    def read(self, data_dir: Path) -> SampleTable:
        """Return the samples in the order of the annotations; boxes xyxy in absolute pixels, of any class."""
        return self.read_objects(data_dir, None)

    def read_objects(self, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """Return the samples like `read`; objects whose class is not in `classes` are refused with file and line, or dropped."""
        return self.finished(self.parse(data_dir), data_dir, classes)

    def finished(self, found: Annotations, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """Return the table of the images and objects, after all checks."""
        return finish(found, data_dir / self.root, classes, self.invalid, self.trust_sizes, self.unannotated)

    @abstractmethod
    def parse(self, data_dir: Path) -> Annotations:
        """Return the images and objects of the annotation files. Raises UserError if a file cannot be read at all."""
