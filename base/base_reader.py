"""The base classes of readers (annotation format to table of samples) and submissions (predictions to a competition's file)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from base.predictions import Predictions, not_finite
from base.registry import Checked, Registry
from base.table import SampleTable, some
from utils import files
from utils.errors import UserError

PLACES = ("file", "labels", "annotations", "root")  # arguments of readers that name files and folders below the data folder


class BaseReader(ABC):
    """A reader of one annotation format."""

    @abstractmethod
    def read(self, data_dir: Path) -> SampleTable:
        """Read the samples below `data_dir` into a table: columns `id` and `path`, and the annotations of the format.

        Raises UserError that names the file and line of everything that cannot be read.
        """

    @classmethod
    def columns(cls, args: Any) -> set[str] | None:
        """Return the columns that the table will have; None if they depend on the files and not only on the arguments."""
        return None

    def absent(self, data_dir: Path) -> Path | None:
        """Return the first file or folder below `data_dir` that the arguments name and that is not there; None if all are."""
        named = [vars(self).get(argument) for argument in PLACES]
        places = [data_dir / name for name in named if isinstance(name, str)]
        return next((place for place in places if not place.exists()), None)

    def delegate(self, data_dir: Path) -> BaseReader:
        """Return the reader to use for the data in place of this one; this reader itself by default."""
        return self


class Verdict(NamedTuple):
    """The result of checking a submission file."""

    rows: int
    problems: list[str]  # a line for each kind of problem; empty if the file may be submitted


class BaseSubmission(Checked, ABC):
    """The file format of one competition: writes predictions for unlabelled samples, and checks finished files."""

    fallback: ClassVar[str] = ""  # the answer for a picture that cannot be read, in words; empty if there is none

    def require_sample(self, table: SampleTable, data_dir: Path) -> None:
        """Read the competition's own files that say what to predict. Raises UserError if they do not fit the samples.

        It is called before training. table: the samples to predict.
        """

    @property
    @abstractmethod
    def file_name(self) -> str:
        """The name of the file in the output folder."""

    @abstractmethod
    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """Return the bytes of the file. The predictions are finite and for exactly the table's samples; arguments as in `write`.

        Raises UserError if the samples are not exactly the samples of the competition.
        """

    @abstractmethod
    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """Check a finished file from any source: its form, ids, order, repeats, and the range of its answers.

        table: the samples to predict. Raises UserError if the competition's own files, which say what to predict, cannot be read.
        """

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write the file at `path`, atomically, and return its number of rows.

        table: the samples that were predicted. fitted: metric -> the values that it fitted on validation (a threshold).
        Raises UserError and writes nothing if the file could not be submitted.
        """
        predictions.require_ids(table)
        if failed := predictions.failed():
            described = some([f"{name} {reason}" for name, reason in failed.items()])
            if not self.fallback or len(failed) == len(predictions):
                raise UserError(f"{path.name}: not written, since {len(failed)} images could not be read: {described}")
            print(f"warning: {path.name}: {len(failed)} images could not be read and get {self.fallback}: {described}")
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
