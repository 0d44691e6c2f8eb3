"""From an annotation format to a table of samples, and from predictions to the file a competition wants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from base.predictions import Predictions, not_finite
from base.registry import Checked, Registry
from base.table import SampleTable, some
from utils import files
from utils.errors import UserError


class BaseReader(ABC):
    """Reads one annotation format."""

    @abstractmethod
    def read(self, data_dir: Path) -> SampleTable:
        """The samples below `data_dir`: columns `id` and `path`, and what the format says of each sample.

        Raises UserError naming the file and line of everything that cannot be read.
        """

    @classmethod
    def columns(cls, args: Any) -> set[str] | None:
        """The columns that the table will have, where the arguments alone say so; None where only the files do."""
        return None

    def delegate(self, data_dir: Path) -> BaseReader:
        """Return the reader that reads in this one's place; itself by default."""
        return self


class Verdict(NamedTuple):
    """What there is to say of a file before it is handed in."""

    rows: int
    problems: list[str]  # a line for each kind; none where it may be handed in


class BaseSubmission(Checked, ABC):
    """Writes predictions for unlabelled samples in one competition's format, and says whether a file is as it asks."""

    @property
    @abstractmethod
    def file_name(self) -> str:
        """The name of the file in the output folder."""

    @abstractmethod
    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """The file, of predictions that are finite, for exactly the table's samples. The arguments are those of `write`.

        Raises UserError where the samples are not exactly those asked for.
        """

    @abstractmethod
    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """What is wrong with a finished file, whoever made it: its form, ids, order, repeats, the range of its answers.

        table: the samples to predict. Raises UserError where what the competition asks for cannot be read.
        """

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write the file at `path`, atomically, and return its number of rows.

        table: the samples that were predicted. fitted: by metric, what was fitted on validation (a threshold).
        Raises UserError, writing nothing, where it could not be handed in.
        """
        predictions.require_ids(table)
        if failed := predictions.failed():
            described = some([f"{name} {reason}" for name, reason in failed.items()])
            raise UserError(f"{path.name}: not written, since {len(failed)} images could not be read: {described}")
        if bad := not_finite(predictions):
            raise UserError(f"{path.name}: not written, since the predictions for {len(bad)} images are not finite ({some(bad)})")
        content = self.content(predictions, table, fitted, data_dir)
        verdict = self.lint(content, table, data_dir)
        if verdict.problems:
            raise UserError("\n".join(f"{path.name}: not written: {problem}" for problem in verdict.problems))
        files.write_bytes(path, content)
        return verdict.rows


READERS: Registry[BaseReader] = Registry("reader", BaseReader)
SUBMISSIONS: Registry[BaseSubmission] = Registry("submission", BaseSubmission)
