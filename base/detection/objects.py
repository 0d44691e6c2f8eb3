"""Objects in pictures: a class name and a box each, as columns of a table.

The columns `boxes`, list<fixed_size_list<float64>[4]>, and `names`, list<dictionary<string>>, hold as many items as a
picture has objects; `width` and `height`, int32, are the picture's, null where nobody could tell.

Boxes are xyxy in absolute pixels of the original, upright picture: x1, y1, x2, y2 with 0 <= x1 < x2 <= width, the left
border of the picture at 0 and the right one at its width. They are kept to a millionth of a pixel, which every format
can write and give back.
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
DECIMALS = 6  # of a pixel, in tables and files
COLUMNS = frozenset(("id", "path", "width", "height", "boxes", "names"))


class Objects(NamedTuple):
    """The objects of a table, of all its pictures one after the other."""

    boxes: np.ndarray  # (N, 4) float64, xyxy in absolute pixels
    codes: np.ndarray  # (N,) int64, into `names`
    names: list[str]  # class names that occur, in no meaningful order
    counts: np.ndarray  # (pictures,) int64, objects of each picture

    @property
    def owners(self) -> np.ndarray:
        """(N,) int64: the row of the picture that each object is in."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def ends(self) -> np.ndarray:
        """(pictures + 1,) int64: objects of picture i are those from ends[i] to ends[i + 1]."""
        return np.append(0, np.cumsum(self.counts))

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """(N,) int64: the place of each object's class in `classes`, -1 where it is none of them."""
        places = {name: number for number, name in enumerate(classes)}
        lookup = np.array([places.get(name, -1) for name in self.names] or [-1], np.int64)
        labels: np.ndarray = lookup[self.codes]
        return labels


def objects_of(table: SampleTable) -> Objects:
    """The objects of a table that has `boxes` and `names`."""
    boxes, names = (table.columns[name].combine_chunks() for name in ("boxes", "names"))
    codes = names.flatten()
    flat = boxes.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    counts = np.asarray(pc.fill_null(names.value_lengths(), 0)).astype(np.int64)
    return Objects(flat, np.asarray(codes.indices).astype(np.int64), codes.dictionary.to_pylist(), counts)


def object_columns(boxes: np.ndarray, codes: np.ndarray, names: Sequence[str], counts: np.ndarray) -> dict[str, pa.Array]:
    """The columns `boxes` and `names`, from what `Objects` holds: boxes (N, 4) xyxy in absolute pixels."""
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(boxes, np.float64).reshape(-1)), 4)
    classes = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(names), pa.string()))
    return {"boxes": pa.ListArray.from_arrays(ends, flat), "names": pa.ListArray.from_arrays(ends, classes)}


def has_objects(table: SampleTable) -> bool:
    """Whether the samples of a table are annotated with boxes."""
    return {"boxes", "names"} <= set(table.names)


def class_counts(table: SampleTable, classes: Sequence[str]) -> list[int]:
    """How many objects of each class a table has."""
    labels = objects_of(table).labels(classes)
    return [int(count) for count in np.bincount(labels[labels >= 0], minlength=len(classes))]


def rounded(values: np.ndarray) -> np.ndarray:
    """Pixels to a millionth; a negative zero becomes zero."""
    return np.round(values, DECIMALS) + 0.0


def require_sizes(table: SampleTable) -> None:
    """Raise UserError naming the images whose width and height are not known: they are no pictures."""
    unknown = [table.id(row) for row, missing in enumerate(table.columns["width"].is_null().to_pylist()) if missing]
    if unknown:
        raise UserError(f"{table.root}: {len(unknown)} images are no pictures, so that their size is not known ({some(unknown)})")
