"""A score over complete predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from base.contracts import PictureOf, Points
from base.predictions import Predictions
from base.registry import Checked, Registry
from base.table import SampleTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BaseMetric(Checked, ABC):
    """Computed once over all samples, in order of id: exact, with no averages over batches."""

    needs_truth: ClassVar[bool] = True  # whether `figures` compares with labels; the others are drawn for unlabelled samples too
    takes_twice: ClassVar[bool] = True  # whether `compute` may see a sample in several rows, as where samples are drawn anew

    @property
    def state_key(self) -> str:
        """Under which what it fits is kept; unique among a run's metrics that fit anything."""
        return type(self).__name__

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the scores that `compute` gives: what `trainer.monitor` may name behind `val/`."""

    @abstractmethod
    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Name -> score. predictions and table hold the same samples in the same order."""

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """What is fitted on validation (a threshold, a temperature) and kept in the checkpoint; nothing by default."""
        return {}

    def use(self, fitted: Mapping[str, float]) -> None:
        """Take what `fit` gave, before `compute` on any other samples."""

    def adjust(self, predictions: Predictions) -> Predictions:
        """The predictions as they are shown and submitted, at what `use` took; by default as they are."""
        return predictions

    def decisions(self, predictions: Predictions) -> np.ndarray:
        """What is decided from the predictions, at what `use` took: (M,) integers, by which two models can be compared.

        None by default.
        """
        return np.zeros(0, np.int64)

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Name -> plot, for TensorBoard and the output folder; none by default."""
        return {}

    def points(self, predictions: Predictions, table: SampleTable) -> dict[str, Points]:
        """Name -> vectors for TensorBoard's projector; none by default."""
        return {}


METRICS: Registry[BaseMetric] = Registry("metric", BaseMetric)
