"""The kinds of prediction, one for each task: how to recognise its predictions, and how to compare them with a submission.

Each task's folder has a module `kind` with an object `KIND`. Importing kinds imports neither torch nor streamlit.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from base.base_metric import BaseMetric
from base.contracts import DataSpec
from base.predictions import Predictions
from utils.errors import UserError

if TYPE_CHECKING:
    from inspection.results import Result
    from inspection.submissions import Submission

Parse = Callable[[str, str], "Submission"]  # from a file's name and text; raises UserError if the text has another form


class BaseKind(ABC):
    """The predictions of one task."""

    task: ClassVar[str]
    formats: ClassVar[Mapping[str, Parse]] = {}  # suffix of a file name -> function that reads a submission

    @abstractmethod
    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether predictions with these columns are of this task. spec: the classes that were predicted."""

    @abstractmethod
    def table(self, predictions: Predictions, spec: DataSpec) -> pd.DataFrame:
        """Return predictions for people, with class names. The first column, `picture`, has the id of each row."""

    def vectors(self, predictions: Predictions) -> np.ndarray:
        """Return the vectors that are compared, (N, D) float32. Raises UserError if this kind has none."""
        raise UserError(f"embed: this model predicts {self.task}, and no vectors; take a model of verification")

    def compared(self, first: np.ndarray, second: np.ndarray, metrics: Sequence[BaseMetric]) -> pd.DataFrame:
        """Return a row for each two vectors, (N, D) float32 each: how alike they are, and the decision. Raises UserError.

        metrics: of the model's config, with what was fitted on validation.
        """
        raise UserError(f"compare: this model predicts {self.task}, and no vectors; take a model of verification")

    def corrections(self, result: Result, config: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, str]]]:
        """Return label -> (column of the reader, {class: text in that column}); empty if there are no labels.

        config: the run's config. If the config does not give a label's texts, its dict is empty.
        """
        return {}

    def columns(self, section: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the id and answer columns of a CSV submission; None if this kind does not know them.

        section: `submission` of the config; empty if the config has no such section.
        """
        return None

    def expected(self, result: Result, section: Mapping[str, Any]) -> dict[str, str] | None:
        """Return key -> answer of a submission that is made from these predictions; None if this kind does not know it."""
        return None

    def shares(self, result: Result) -> dict[str, pd.DataFrame]:
        """Return label -> table with the columns class, in training, predicted: shares in [0, 1], NaN if not known."""
        return {}


@cache
def all_kinds() -> dict[str, BaseKind]:
    """Return task -> kind, for every task that has a folder in this package."""
    rooms = sorted(path.parent.name for path in Path(__file__).parent.glob("*/kind.py"))
    return {room: importlib.import_module(f"inspection.{room}.kind").KIND for room in rooms}


def kinds_of(schema: pa.Schema, spec: DataSpec) -> list[str]:
    """Return the tasks whose predictions have these columns."""
    return [task for task, kind in all_kinds().items() if kind.recognises(schema, spec)]
