"""Pictures with objects in boxes: their classes, contents and sizes."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from base.base_reader import BaseReader
from base.contracts import DataSpec
from base.detection.objects import OBJECT, Objects, class_counts, has_objects, objects_of, require_sizes, with_object_columns
from base.table import SampleTable, some
from base.types import Names
from data_loader.detection import subset
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.detection.subset import Rule
from data_loader.pictures.decode import Size
from data_loader.pictures.image_header import header_sizes
from data_loader.samples.near_duplicates import Sources
from data_loader.samples.samples import AnnotationSettings, Division, Samples
from data_loader.samples.splits import Split
from utils.errors import UserError

NUMBERS, CONTENTS = "classes", "contents"  # columns: list<int16>, the class of each box; text


class ObjectSampleSettings(AnnotationSettings):
    """Config of pictures with objects."""

    classes: Names = Field(description="names of the classes, in the order of their numbers")
    split: Split | None = Field(
        default=None,
        description="division of the samples into training and validation. Besides the reader's columns there is `contents`, the "
        "classes in the picture, to stratify by; and `source`, if `sources` is given, to group by",
    )
    sources: Sources | None = Field(
        default=None, description="groups of pictures that show nearly the same; they become the column `source`"
    )
    subset: Annotated[list[Rule], Field(min_length=1)] | None = Field(
        default=None, description="rules that choose the training samples; default: all are kept"
    )


class ObjectSamples(Samples):
    """Pictures with their sizes and objects."""

    def __init__(self, settings: ObjectSampleSettings, size: Size, spec: DataSpec) -> None:
        super().__init__(settings, size, spec)
        self.test_reader, self.corrections = settings.test_reader, settings.corrections
        self.classes, self.sources, self.subset = settings.classes, settings.sources, settings.subset
        self._sizes: dict[str, np.ndarray] = {}
        self._objects: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def read_table(self, reader: BaseReader) -> SampleTable:
        """Return the samples of a reader. The reader itself refuses objects of other classes, because it knows their lines."""
        reader = reader.delegate(self.data_dir)
        if isinstance(reader, ObjectReader):
            return reader.read_objects(self.data_dir, self.classes)
        return with_object_columns(reader.read(self.data_dir), type(reader).__name__)

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table with the sizes of the pictures and, if they are annotated, with the numbers of their classes.

        Training and validation samples get `contents` and `source` too. Raises UserError for unknown classes, or if boxes are
        required and missing.
        """
        table = with_sizes(table)
        if not has_objects(table):
            if required:
                raise UserError(f"{source}: the reader gives no boxes; data_loader.args.reader must be one that does")
            return table
        objects = objects_of(table)
        labels = objects.labels(self.classes)
        if (labels < 0).any():
            unknown = sorted({objects.names[code] for code in np.unique(objects.codes)} - set(self.classes))
            raise UserError(f"{source}: {some(unknown)}: unknown classes; data_loader.args.classes has {', '.join(self.classes)}")
        numbers = pa.ListArray.from_arrays(pa.array(objects.ends, pa.int32()), pa.array(labels, pa.int16()))
        table = table.with_column(NUMBERS, numbers)
        if required:
            require_sizes(table)
            table = table.with_column(CONTENTS, pa.array(_contents(objects, self.classes), pa.string()))
            table = self.sources.add(table) if self.sources is not None else table
        return table

    def object_counts(self, table: SampleTable) -> dict[str, list[int]]:
        """Return the number of boxes of each class."""
        return {OBJECT: class_counts(table, self.classes)}

    def labelled(self, split: str) -> bool:
        """Return whether the samples have boxes; the test split may have boxes too."""
        return has_objects(self.table(split))

    def divide(self, table: SampleTable, own: SampleTable | None = None) -> Division:
        """Return both sides of the split, the training side without the samples that `subset` leaves out.

        The hash of the split covers the whole training side, so that stages on different subsets share a split.
        """
        whole, valid, notes, _ = super().divide(table, own)
        train = whole
        if self.subset is not None:
            train = whole.take(subset.chosen(whole, self.subset, self.classes))
            if not len(train):
                raise UserError("data_loader.args.subset: leaves no training sample; make a rule wider")
            notes += subset.report(whole, train, self.classes)
        counts = {side: class_counts(part, self.classes) for side, part in (("training", train), ("validation", valid))}
        for side, of_class in counts.items():
            lacking = [name for name, count in zip(self.classes, of_class, strict=True) if not count]
            notes += [f"warning: no {side} sample shows any {some(lacking)}"] if lacking else []
        both = zip(self.classes, *counts.values(), strict=True)
        objects = ", ".join(f"{name} {to_train:,} and {to_validate:,}" for name, to_train, to_validate in both)
        return Division(train, valid, [f"objects to train and to validate on: {objects}", *notes], whole)

    def sizes(self, split: str) -> np.ndarray:
        """Return height and width of each picture, (N, 2) int64; 0 for a file that is no picture."""
        if split not in self._sizes:
            columns = [self.table(split).columns[name].combine_chunks().fill_null(0) for name in ("height", "width")]
            self._sizes[split] = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
        return self._sizes[split]

    def original(self, split: str, row: int) -> Size:
        """Return height and width of a sample's picture."""
        height, width = self.sizes(split)[row].tolist()
        return height, width

    def objects(self, split: str, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) xyxy in absolute pixels of the original, and classes (n,) int64, of a labelled sample."""
        if split not in self._objects:
            annotated = objects_of(self.table(split))
            self._objects[split] = annotated.boxes, annotated.labels(self.classes), annotated.ends
        boxes, labels, ends = self._objects[split]
        return boxes[ends[row] : ends[row + 1]], labels[ends[row] : ends[row + 1]]


def with_sizes(table: SampleTable) -> SampleTable:
    """Return the table with `width` and `height` in pixels, from the files' headers if the reader gave none.

    The sizes of an unreadable file are null.
    """
    if {"width", "height"} <= set(table.names):
        return table
    sizes = list(header_sizes([f"{table.root}/{path}" for path in table.paths()]))
    for name, side in (("width", 1), ("height", 0)):
        table = table.with_column(name, pa.array([None if isinstance(size, str) else size[side] for size in sizes], pa.int32()))
    return table


def _contents(objects: Objects, classes: list[str]) -> list[str]:
    """Return for each picture its classes in their order, joined by +; empty without objects."""
    labels, ends = objects.labels(classes), objects.ends
    return ["+".join(classes[n] for n in np.unique(labels[a:b]).tolist()) for a, b in itertools.pairwise(ends.tolist())]
