"""How far scores may be off by chance: intervals from drawing the samples anew, all of a group at a time."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from base.base_metric import BaseMetric
from base.predictions import Predictions
from base.table import SampleTable
from model.metric.bootstrap import DRAWS, Interval, middle
from utils.seed import generator


def intervals(
    metric: BaseMetric, predictions: Predictions, table: SampleTable, group: str | None = None, rounds: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """Score -> its 95 % interval, the middle of the scores over `rounds` drawings with replacement (Efron 1979).

    Samples with the same value of `group`, a column of `table`, are drawn together, as often as there are values: they are
    not independent of each other, and drawing them one by one would give intervals that are too small (the cluster
    bootstrap, Field and Welsh 2007). A sample without a value, and every sample without a `group`, is drawn alone. What
    `metric` fitted stays as it is. A score that some drawings do not have is the middle of those that have it.

    Nothing for a metric that does not take a sample twice. The same arguments give the same intervals.
    """
    if not metric.takes_twice:
        return {}
    members, rng = _members(table, group), generator(seed, "intervals")
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        rows = np.concatenate([members[unit] for unit in rng.integers(len(members), size=len(members))])
        for name, value in metric.compute(predictions.take(rows), table.take(rows)).items():
            drawn[name].append(value)
    return {name: middle(np.array(values)) for name, values in drawn.items()}


def _members(table: SampleTable, group: str | None) -> list[np.ndarray]:
    """The rows of each group; a sample whose group is not known is one by itself."""
    if group is None or group not in table.names:
        return list(np.arange(len(table))[:, None])
    names = table.strings(group)
    _, codes = np.unique([name or f"\0{row}" for row, name in enumerate(names)], return_inverse=True)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
