"""How far scores of pairs may be off by chance: intervals from drawing people, not pairs, anew."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

DRAWS = 1000
CELLS = 20_000_000  # weights held at a time


class Interval(NamedTuple):
    """The middle `level` of the scores over all draws."""

    low: float
    high: float


def pair_intervals(
    called: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray, level: float = 0.95, draws: int = DRAWS
) -> dict[str, Interval]:
    """Intervals of `accuracy` and of `f1` of "same" at a fixed threshold.

    Pairs that share a person are not independent: drawing pairs would give intervals that are too small. Instead the people
    are drawn with replacement. A pair of two counts as often as the product of their numbers of draws, a pair within
    one as often as that one was drawn (the vertex bootstrap of Snijders and Borgatti 1999; for faces the subset
    bootstrap of Bolle et al. 2004). It errs on the safe side: for pairs of two people of whom nobody is in another pair the
    interval is up to sqrt(3) times as wide as it need be.

    called, same: (N,) bool. first, second: (N,) integers from 0, whom each pair compares: people where they are known,
    otherwise pictures. The same arguments give the same intervals.
    """
    units = int(max(first.max(), second.max())) + 1
    within, rng = first == second, np.random.default_rng(0)
    kinds = np.stack([called == same, called & same, called, same]).astype(np.float64)  # (4, N)
    totals = []
    for start in range(0, draws, step := max(1, CELLS // max(units, len(same)))):
        times = rng.multinomial(units, np.full(units, 1 / units), size=min(step, draws - start))  # (b, units)
        weights = times[:, first] * np.where(within, 1, times[:, second])  # (b, N)
        totals.append(np.concatenate([weights @ kinds.T, weights.sum(axis=1, keepdims=True)], axis=1))
    right, both, called_, same_, counted = np.concatenate(totals).T
    drawn = {"accuracy": right / np.maximum(counted, 1), "f1": 2 * both / np.maximum(called_ + same_, 1)}
    # A draw may leave no pair at all where there are very few people; it says nothing.
    return {name: middle(values[counted > 0], level) for name, values in drawn.items()}


def middle(values: np.ndarray, level: float = 0.95) -> Interval:
    """Between which ends the share `level` of the values lies. values: (N,); of none nothing is known, 0 to 1."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if len(values) else (0.0, 1.0)
    return Interval(float(low), float(high))
