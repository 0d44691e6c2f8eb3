"""What a run predicted: the Predictions files beside its log, each with the samples that it is about."""

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

MAX_VALUES = 50  # a column with more different values is no attribute to slice by


@dataclass(frozen=True, eq=False)  # hashed as the thing that it is: others keep answers by it
class Result(Evaluation):
    """An evaluation with what views show of it."""

    @cached_property
    def kinds(self) -> list[str]:
        """The tasks whose predictions these are."""
        return kinds_of(self.predictions.columns.schema, self.spec)

    def numbers(self, label: str) -> np.ndarray:
        """Return the class of every sample as it is reported, (N,) integers; -1 if not known."""
        if label not in self.samples.names or not pa.types.is_integer(self.samples.columns[label].type):
            return np.full(len(self.samples), -1)
        return reported(self.samples.numbers(label).astype(np.int64), self.spec, label)

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """Column -> its different values as text, for the columns that samples can be grouped by."""
        found = {}
        for name in self._plain_columns:
            twin = len(self.spec.classes.get(name.removeprefix("raw:"), [])) if name.startswith("raw:") else 0
            different = pc.unique(self._text(name))
            if name not in ("id", "path") and max(1, twin) < len(different) <= MAX_VALUES:  # else it says no more than the label
                found[name] = sorted(different.to_pylist())
        return found

    @property
    def _plain_columns(self) -> list[str]:
        return [name for name in self.samples.names if not pa.types.is_nested(self.samples.columns[name].type)]

    def texts(self, column: str) -> np.ndarray:
        """A column as people read it, (N,) of text: class names in the place of class numbers."""
        return np.asarray(self._text(column).to_numpy(zero_copy_only=False))

    def _text(self, column: str) -> pa.Array:
        """The same in Arrow, which is much faster for all samples at once."""
        values = self.samples.columns[column].combine_chunks()
        if column in self.spec.classes and pa.types.is_integer(values.type):
            names = pa.array([*self.spec.classes[column], "(unknown)"], pa.string())
            return names.take(pa.array(self.numbers(column) % len(names)))  # -1 is the last
        return pc.fill_null(values.cast(pa.string()), "")

    @cached_property
    def searchable(self) -> pa.Array:
        """All text of a sample in one, small letters, for the search field."""
        return pc.utf8_lower(pc.binary_join_element_wise(*map(self._text, self._plain_columns), " "))

    def matching(self, query: str) -> np.ndarray:
        """(N,) which samples hold every word of the query somewhere in their id, path or columns."""
        hits: np.ndarray = np.ones(len(self.samples), dtype=bool)
        for word in query.lower().split():
            hits &= np.asarray(pc.match_substring(self.searchable, word))
        return hits

    def picture(self, row: int) -> Path:
        """The image file of a sample. Raises UserError where it is not below the data folder."""
        return below(self.samples.root, str(self.samples.values("path", row)))


def found(run: Run) -> list[str]:
    """The folders with predictions of a run, by name, those of validation first."""
    folders = [path.parent for path in run.log.glob(f"*/{PREDICTIONS}")]
    return sorted((path.name for path in folders), key=lambda name: (not of_split(name, "valid"), name))


def of_split(name: str, split: str) -> bool:
    """Whether the predictions in a folder of that name are of a split; what folds held out is validation."""
    return name.startswith(split) or (split == "valid" and name == OUT_OF_FOLD)


def read(run: Run, name: str) -> Result:
    """The evaluation in a folder of the run's log. Raises UserError in a line that says what is wrong with it."""
    return _read(below(run.log, name, PREDICTIONS))


@by_file(entries=4)
def _read(path: Path) -> Result:
    return Result.read(path.parent)


@by_file(entries=200)
def _kinds(path: Path) -> frozenset[str]:
    """Return the tasks whose predictions a file holds, from its header alone."""
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
