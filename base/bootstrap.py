"""Bootstrap intervals of scores: samples are drawn again with replacement, and samples of a group are drawn together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROUNDS, SEED = 1000, 0
LEVEL = 0.95
CELLS = 1_000_000  # numbers held at a time: about the size of a processor's cache


class Interval(NamedTuple):
    """The middle LEVEL of the scores over all rounds."""

    low: float
    high: float


def draws(units: int, width: int, rounds: int = ROUNDS, seed: int = SEED) -> Iterator[np.ndarray]:
    """Yield how often each unit is drawn in each round: arrays (b, units) int64 with `rounds` rows in all.

    In a round `units` units are drawn with replacement (Efron 1979); if a unit is several samples, this is the cluster
    bootstrap (Field and Welsh 2007). width: the number of values that the caller holds for each round; it changes the number
    of rows b of an array, but not the rounds.
    """
    rng, step = np.random.default_rng(seed), max(1, CELLS // max(units, width))
    for start in range(0, rounds, step):
        number = min(step, rounds - start)
        drawn = rng.integers(0, units, (number, units)) + units * np.arange(number)[:, None]
        yield np.bincount(drawn.ravel(), minlength=number * units).reshape(number, units)


def middle(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the interval that holds the middle share `level` of the finite values; (0, 1) if none is finite.

    values: (B,) float64, one score for each round, NaN if a round has no such score.
    """
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) if len(finite) else (0.0, 1.0)
    return Interval(float(low), float(high))
