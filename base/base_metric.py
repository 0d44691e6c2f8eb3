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

    def resampled(self, predictions: Predictions, table: SampleTable, times: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> scores (B,) of B data sets in which each sample stands as often as `times` (B, N) says; NaN for none.

        By default `compute` on such rows. A metric for which copies are no samples like others, or that has a faster way,
        has its own; scores that cannot be had this way are left out.
        """
        found = {name: np.full(len(times), np.nan) for name in self.names}
        for number, counts in enumerate(times if found else ()):
            rows: np.ndarray = np.repeat(np.arange(len(table)), counts)
            for name, value in self.compute(predictions.take(rows), table.take(rows)).items():
                found[name][number] = value
        return found

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
