"""How far scores may be off by chance: intervals from drawing samples anew, those that belong together always together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROUNDS, SEED = 1000, 0
LEVEL = 0.95
CELLS = 1_000_000  # numbers held at a time: as many as a processor keeps near


class Interval(NamedTuple):
    """The middle LEVEL of the scores over all rounds."""

    low: float
    high: float


def draws(units: int, width: int, rounds: int = ROUNDS, seed: int = SEED) -> Iterator[np.ndarray]:
    """How often each of so many units is drawn in each round, (b, units) int64, in pieces of `rounds` rounds in all.

    As many are drawn as there are, with replacement (Efron 1979); where a unit is many samples this is the
    cluster bootstrap (Field and Welsh 2007). The same rounds whatever the width, which is the
    number of values that the caller will hold for each round.
    """
    rng, step = np.random.default_rng(seed), max(1, CELLS // max(units, width))
    for start in range(0, rounds, step):
        number = min(step, rounds - start)
        drawn = rng.integers(0, units, (number, units)) + units * np.arange(number)[:, None]
        yield np.bincount(drawn.ravel(), minlength=number * units).reshape(number, units)


def middle(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The middle of the values that are finite, (B,): rounds that left nothing to score say nothing."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) if len(finite) else (0.0, 1.0)
    return Interval(float(low), float(high))
