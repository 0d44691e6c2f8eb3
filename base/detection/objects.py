"""Store the objects of pictures, each with a class name and a box, as columns of a table.

The columns `boxes`, list<fixed_size_list<float64>[4]>, and `names`, list<dictionary<string>>, hold an item for each object of
the picture; `width` and `height`, int32, are the picture's size in pixels, null if it is not known.

Boxes are xyxy in absolute pixels of the original, upright picture: x1, y1, x2, y2 with 0 <= x1 < x2 <= width, the left
border of the picture at 0 and the right one at its width. They are rounded to a millionth of a pixel, which every format
can write and read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from base.table import SampleTable, some
from utils.errors import UserError

OBJECT = "object"  # the label whose classes the boxes have
DECIMALS = 6  # decimal places of a pixel in tables and files
COLUMNS = frozenset(("id", "path", "width", "height", "boxes", "names"))


class Objects(NamedTuple):
    """The objects of a table: those of all pictures, one picture after the other."""

    boxes: np.ndarray  # (N, 4) float64, xyxy in absolute pixels
    codes: np.ndarray  # (N,) int64, indices of `names`
    names: list[str]  # class names that occur, in no meaningful order
    counts: np.ndarray  # (pictures,) int64, objects of each picture

    @property
    def owners(self) -> np.ndarray:
        """The row of each object's picture, (N,) int64."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def ends(self) -> np.ndarray:
        """The borders between pictures, (pictures + 1,) int64: picture i has the objects from ends[i] to ends[i + 1] - 1."""
        return np.append(0, np.cumsum(self.counts))

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """Return the index of each object's class in `classes`, (N,) int64; -1 if the class is not in `classes`."""
        places = {name: number for number, name in enumerate(classes)}
        lookup = np.array([places.get(name, -1) for name in self.names] or [-1], np.int64)
        labels: np.ndarray = lookup[self.codes]
        return labels


def objects_of(table: SampleTable) -> Objects:
    """Return the objects of a table with the columns `boxes` and `names`."""
    boxes, names = (table.columns[name].combine_chunks() for name in ("boxes", "names"))
    codes = names.flatten()
    flat = boxes.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    counts = np.asarray(pc.fill_null(names.value_lengths(), 0)).astype(np.int64)
    return Objects(flat, np.asarray(codes.indices).astype(np.int64), codes.dictionary.to_pylist(), counts)


def object_columns(boxes: np.ndarray, codes: np.ndarray, names: Sequence[str], counts: np.ndarray) -> dict[str, pa.Array]:
    """Return the columns `boxes` and `names` for objects.

    boxes: (N, 4) float64, xyxy in absolute pixels. codes: (N,) int64, indices of `names`. counts: (pictures,) int64.
    """
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(boxes, np.float64).reshape(-1)), 4)
    classes = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(names), pa.string()))
    return {"boxes": pa.ListArray.from_arrays(ends, flat), "names": pa.ListArray.from_arrays(ends, classes)}


def with_object_columns(table: SampleTable, source: str) -> SampleTable:
    """Return the table with its columns `boxes` and `names` in the types of `object_columns`; unchanged without both columns.

    A reader may give plain lists: for each picture a list of [x1, y1, x2, y2], and a list of as many class names. Raises
    UserError that names the sample if they have another form. source: the name of the reader for an error.
    """
    given = {"boxes", "names"} & set(table.names)
    if len(given) == 1:
        raise UserError(f"{source}: gives the column {given.pop()} alone; allowed: boxes and names, or neither")
    if not given or _has_types(table):
        return table
    boxes, names = (table.columns[name].to_pylist() for name in ("boxes", "names"))
    for sample, mine, its in zip(table.ids(), boxes, names, strict=True):
        if not (_is_boxes(mine) and _is_names(its) and len(its) == len(mine)):
            raise UserError(
                f"{source}: {sample}: found boxes {str(mine)[:60]} and names {str(its)[:60]}; "
                "allowed: a list of [x1, y1, x2, y2] in pixels, and a list of as many class names"
            )
    flat = np.array([box for mine in boxes for box in mine], np.float64).reshape(-1, 4)
    known = sorted({name for its in names for name in its})
    codes = np.array([known.index(name) for its in names for name in its], np.int64)
    counts = np.array([len(mine) for mine in boxes], np.int64)
    for name, column in object_columns(flat, codes, known, counts).items():
        table = table.with_column(name, column)
    return table


def _has_types(table: SampleTable) -> bool:
    boxes, names = (table.columns[name].type for name in ("boxes", "names"))
    return bool(
        boxes == pa.list_(pa.list_(pa.float64(), 4)) and pa.types.is_list(names) and pa.types.is_dictionary(names.value_type)
    )


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_boxes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) and np.isfinite(side) for side in box)
        for box in value
    )


def has_objects(table: SampleTable) -> bool:
    """Return whether the table has the columns `boxes` and `names`."""
    return {"boxes", "names"} <= set(table.names)


def class_counts(table: SampleTable, classes: Sequence[str]) -> list[int]:
    """Return the number of objects of each class in the table."""
    labels = objects_of(table).labels(classes)
    return [int(count) for count in np.bincount(labels[labels >= 0], minlength=len(classes))]


def rounded(values: np.ndarray) -> np.ndarray:
    """Round pixels (any shape, float64) to a millionth; a negative zero becomes zero."""
    return np.round(values, DECIMALS) + 0.0


def require_sizes(table: SampleTable) -> None:
    """Raise UserError that names the images whose width and height are not known, since they are no pictures."""
    unknown = [table.id(row) for row, missing in enumerate(table.columns["width"].is_null().to_pylist()) if missing]
    if unknown:
        raise UserError(f"{table.root}: {len(unknown)} images are no pictures, so that their size is not known ({some(unknown)})")
