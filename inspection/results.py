"""The evaluations of a run: the Predictions files beside its log, each with the predicted samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from base.evaluation import Evaluation, read_header
from base.labels import reported
from base.saved.names import OUT_OF_FOLD, PREDICTIONS
from inspection.cache import by_file
from inspection.jail import below
from inspection.kinds import kinds_of
from inspection.runs import Run
from utils.errors import UserError

MAX_VALUES = 50  # a column with more different values is not used for slices


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, as a key of cached answers
class Result(Evaluation):
    """An evaluation, with the values that the pages show."""

    @cached_property
    def kinds(self) -> list[str]:
        """The tasks that the predictions belong to."""
        return kinds_of(self.predictions.columns.schema, self.spec)

    def numbers(self, label: str) -> np.ndarray:
        """Return the class number of every sample in the reported classes, (N,) int64; -1 if not known."""
        if label not in self.samples.names or not pa.types.is_integer(self.samples.columns[label].type):
            return np.full(len(self.samples), -1)
        return reported(self.samples.numbers(label).astype(np.int64), self.spec, label)

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """Column -> its different values as text, for the columns that samples can be grouped by (at most MAX_VALUES values)."""
        values = {}
        for name in self._plain_columns:
            twin = len(self.spec.classes.get(name.removeprefix("raw:"), [])) if name.startswith("raw:") else 0
            different = pc.unique(self._text(name))
            # A raw column with at most one value per class tells no more than its label.
            if name not in ("id", "path") and max(1, twin) < len(different) <= MAX_VALUES:
                values[name] = sorted(different.to_pylist())
        return values

    @property
    def _plain_columns(self) -> list[str]:
        return [name for name in self.samples.names if not pa.types.is_nested(self.samples.columns[name].type)]

    def texts(self, column: str) -> np.ndarray:
        """Return a column as text, (N,) str, with class names in place of class numbers."""
        return np.asarray(self._text(column).to_numpy(zero_copy_only=False))

    def _text(self, column: str) -> pa.Array:
        """Return a column as text in an Arrow array (N), which is much faster than NumPy for all samples at once."""
        values = self.samples.columns[column].combine_chunks()
        if column in self.spec.classes and pa.types.is_integer(values.type):
            names = pa.array([*self.spec.classes[column], "(unknown)"], pa.string())
            return names.take(pa.array(self.numbers(column) % len(names)))  # -1 is the last
        return pc.fill_null(values.cast(pa.string()), "")

    @cached_property
    def searchable(self) -> pa.Array:
        """The text of all columns of each sample, joined, in small letters, (N), for the search field."""
        return pc.utf8_lower(pc.binary_join_element_wise(*map(self._text, self._plain_columns), " "))

    def matching(self, query: str) -> np.ndarray:
        """Return a mask (N,) bool of the samples whose id, path or other columns contain every word of the query."""
        hits: np.ndarray = np.ones(len(self.samples), dtype=bool)
        for word in query.lower().split():
            hits &= np.asarray(pc.match_substring(self.searchable, word))
        return hits

    def picture(self, row: int) -> Path:
        """Return the image file of a sample. Raises UserError if the file is not below the data folder."""
        return below(self.samples.root, str(self.samples.values("path", row)))


def found(run: Run) -> list[str]:
    """Return the names of the run's folders with predictions, sorted, validation first."""
    folders = [path.parent for path in run.log.glob(f"*/{PREDICTIONS}")]
    return sorted((path.name for path in folders), key=lambda name: (not of_split(name, "valid"), name))


def of_split(name: str, split: str) -> bool:
    """Return whether a folder of this name holds predictions of the split; out-of-fold predictions count as validation."""
    return name.startswith(split) or (split == "valid" and name == OUT_OF_FOLD)


def read(run: Run, name: str) -> Result:
    """Return the evaluation in a folder of the run's log. Raises UserError if its files are missing, damaged or do not fit."""
    return _read(below(run.log, name, PREDICTIONS))


@by_file(entries=4)
def _read(path: Path) -> Result:
    return Result.read(path.parent)


@by_file(entries=200)
def _kinds(path: Path) -> frozenset[str]:
    """Return the tasks whose predictions a file holds; only its header is read."""
    try:
        schema, manifest = read_header(path.parent)
    except UserError:
        return frozenset()
    return frozenset(kinds_of(schema, manifest.spec))


def kind_of(run: Run, name: str) -> frozenset[str]:
    """Return the tasks whose predictions are in a folder of the run's log."""
    return _kinds(below(run.log, name, PREDICTIONS))


def kinds(run: Run) -> set[str]:
    """Return the tasks whose predictions are in any folder of the run's log."""
    return set().union(*(kind_of(run, name) for name in found(run)))
