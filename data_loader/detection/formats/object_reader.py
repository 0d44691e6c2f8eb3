"""What the readers of boxes have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.base_reader import BaseReader
from base.detection.objects import COLUMNS
from base.table import SampleTable
from data_loader.detection.formats.found import Found, Invalid, finish


class ObjectReader(BaseReader):
    """Images with boxes. `root`, `invalid` and `trust_sizes` are the subclass's arguments."""

    root: str
    invalid: Invalid
    trust_sizes: bool

    @classmethod
    def columns(cls, args: Any) -> set[str]:
        """Those of every reader of boxes."""
        return set(COLUMNS)

    def read(self, data_dir: Path) -> SampleTable:
        """The samples, in the order of the annotations; boxes xyxy in absolute pixels, of any class."""
        return self.read_objects(data_dir, None)

    def read_objects(self, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """As `read`; objects whose class is none of `classes` are refused with file and line, or dropped."""
        return finish(self.parse(data_dir), data_dir / self.root, classes, self.invalid, self.trust_sizes)

    @abstractmethod
    def parse(self, data_dir: Path) -> Found:
        """What the annotation files say. Raises UserError where a file cannot be understood at all."""
