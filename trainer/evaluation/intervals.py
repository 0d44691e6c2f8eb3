"""How far scores may be off by chance: intervals from drawing the samples anew, all of a group at a time."""

from __future__ import annotations

import numpy as np

from base.base_metric import BaseMetric
from base.bootstrap import ROUNDS, SEED, Interval, draws, middle
from base.predictions import Predictions
from base.table import SampleTable


def units_of(table: SampleTable, group: str | None) -> np.ndarray:
    """A number from 0 on for each sample, (N,) int64: the same for those that are drawn together.

    These have the same value of `group`, a column of the table; a sample without a value, and every sample without a
    `group`, is alone.
    """
    if group is None or group not in table.names:
        return np.arange(len(table))
    names = [name or f"\0{row}" for row, name in enumerate(table.strings(group))]
    return np.unique(names, return_inverse=True)[1]


def resampled(
    metric: BaseMetric, predictions: Predictions, table: SampleTable, units: np.ndarray, rounds: int = ROUNDS, seed: int = SEED
) -> dict[str, np.ndarray]:
    """Name -> score of each round, (rounds,), NaN where a round has none. units: (N,), as `units_of` gives them.

    Equal units give the same rounds, whatever is scored.
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
    """Score -> its 95 % interval, the middle of the scores over `rounds` drawings with replacement.

    Samples of one group are not independent of each other, and drawing them one by one would give intervals that are too
    small. What `metric` fitted stays as it is. A score that some drawings do not have is the middle of those that have it.
    The same arguments give the same intervals.
    """
    scores = resampled(metric, predictions, table, units_of(table, group), rounds, seed)
    return {name: middle(values) for name, values in scores.items() if np.isfinite(values).any()}
