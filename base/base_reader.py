"""From an annotation format to a table of samples, and from predictions to the file a competition wants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from base.predictions import Predictions
from base.registry import Checked, Registry
from base.table import SampleTable


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


class BaseSubmission(Checked, ABC):
    """Writes predictions for unlabelled samples in one competition's format."""

    @property
    @abstractmethod
    def file_name(self) -> str:
        """The name of the file in the output folder."""

    @abstractmethod
    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write the file at `path`, atomically, and return its number of rows.

        table: the samples that were predicted. fitted: by metric, what was fitted on validation (a threshold).
        Raises UserError, writing nothing, where the samples are not exactly those asked for.
        """


READERS: Registry[BaseReader] = Registry("reader", BaseReader)
SUBMISSIONS: Registry[BaseSubmission] = Registry("submission", BaseSubmission)
