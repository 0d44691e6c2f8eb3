"""The base class of metrics: scores of complete predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from base.contracts import PictureOf, Points
from base.predictions import Predictions
from base.registry import Checked, Registry
from base.table import SampleTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Truth(NamedTuple):
    """The answers that a score is computed from, as texts that mean the same in every config.

    classes: the answers that are possible, in their order. ids: N names of the samples, or of the pairs. answers: (N,) texts.
    """

    classes: list[str]
    ids: list[str]
    answers: np.ndarray


class BaseMetric(Checked, ABC):
    """A metric that is computed once over all samples, in order of id: exact, without averages over batches."""

    needs_truth: ClassVar[bool] = True  # whether `figures` needs labels; if not, figures are drawn for unlabelled samples too

    free: ClassVar[frozenset[str]] = frozenset()  # arguments that may differ between two metrics whose scores are compared

    @property
    def state_key(self) -> str:
        """The key of the fitted values in a checkpoint; unique among a run's metrics that fit values."""
        return type(self).__name__

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the scores that `compute` returns; `trainer.monitor` may name them with `val/` before the name."""

    @abstractmethod
    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return name -> score. predictions and table hold the same N samples in the same order."""

    def truth(self, table: SampleTable) -> dict[str, Truth]:
        """Return score -> the answers that it is computed from, so that scores are compared on the same answers only.

        A score that is left out is compared on the labels of the data; by default all are left out.
        """
        return {}

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Fit values on validation (a threshold, a temperature) for the checkpoint; return them by name, none by default."""
        return {}

    def use(self, fitted: Mapping[str, float]) -> None:
        """Use the values that `fit` returned; called before `compute` on other samples."""

    def adjust(self, predictions: Predictions) -> Predictions:
        """Return the predictions as they are shown and submitted, with the fitted values of `use`; unchanged by default."""
        return predictions

    def resampled(self, predictions: Predictions, table: SampleTable, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return name -> scores (B,) float64 of B resampled data sets; NaN if a data set has no such score.

        times: (B, N) int64, how often each of the N samples is in each data set. By default `compute` is called on rows that
        are repeated that often. Override it if a repeated sample needs special treatment, or if there is a faster way; leave
        out the scores that cannot be resampled.
        """
        scores = {name: np.full(len(times), np.nan) for name in self.names}
        for number, counts in enumerate(times if scores else ()):
            rows: np.ndarray = np.repeat(np.arange(len(table)), counts)
            for name, value in self.compute(predictions.take(rows), table.take(rows)).items():
                scores[name][number] = value
        return scores

    def decisions(self, predictions: Predictions) -> np.ndarray:
        """Return the decisions that follow from the predictions with the fitted values of `use`: (M,) int64, by default empty.

        Two models are compared by their decisions.
        """
        return np.zeros(0, np.int64)

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return name -> figure for TensorBoard and the output folder; none by default."""
        return {}

    def points(self, predictions: Predictions, table: SampleTable) -> dict[str, Points]:
        """Return name -> vectors (n, D) with texts for TensorBoard's projector; none by default."""
        return {}


class FigureMetric(BaseMetric, ABC):
    """A metric that draws figures and has no scores."""

    @property
    def names(self) -> list[str]:
        """An empty list: there are no scores."""
        return []

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return no scores."""
        return {}

    @abstractmethod
    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return name -> figure for TensorBoard and the output folder."""


METRICS: Registry[BaseMetric] = Registry("metric", BaseMetric)
