"""Confidence intervals of scores by the bootstrap; the samples of a group are drawn together."""

from __future__ import annotations

import numpy as np

from base.base_metric import BaseMetric
from base.bootstrap import ROUNDS, SEED, Interval, draws, middle
from base.predictions import Predictions
from base.table import SampleTable


def units_of(table: SampleTable, group: str | None) -> np.ndarray:
    """Return the unit of each sample, (N,) int64, counted from 0: samples of a unit are drawn together.

    Samples with the same value in the column `group` are one unit. A sample without a value is a unit of its own; without
    `group` every sample is.
    """
    if group is None or group not in table.names:
        return np.arange(len(table))
    names = [name or f"\0{row}" for row, name in enumerate(table.strings(group))]
    return np.unique(names, return_inverse=True)[1]


def resampled(
    metric: BaseMetric, predictions: Predictions, table: SampleTable, units: np.ndarray, rounds: int = ROUNDS, seed: int = SEED
) -> dict[str, np.ndarray]:
    """Return name -> score of each round, (rounds,) float64, NaN if a round has no score. units: (N,) int64, from `units_of`.

    With equal units and seed the rounds draw the same samples for every metric and all predictions.
    """
    pieces: dict[str, list[np.ndarray]] = {}
    for drawn in draws(int(units.max()) + 1, len(units), rounds, seed):
        for name, values in metric.resampled(predictions, table, drawn[:, units]).items():
            pieces.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in pieces.items()}


def intervals(
    metric: BaseMetric,
    predictions: Predictions,
    table: SampleTable,
    group: str | None = None,
    rounds: int = ROUNDS,
    seed: int = SEED,
) -> dict[str, Interval]:
    """Return score -> its 95 % interval: the middle 95 % of the scores over `rounds` drawings with replacement.

    Samples of one group are not independent of each other; drawing them one by one would give intervals that are too small.
    The metric's fitted values do not change. If a score is missing in some drawings, the interval is over the other drawings.
    The same arguments give the same intervals.
    """
    scores = resampled(metric, predictions, table, units_of(table, group), rounds, seed)
    return {name: middle(values) for name, values in scores.items() if np.isfinite(values).any()}
