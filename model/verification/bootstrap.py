"""How far scores of pairs may be off by chance: intervals from drawing people, not pairs, anew."""

from __future__ import annotations

import numpy as np

from base.bootstrap import LEVEL, ROUNDS, Interval, draws, middle


def pair_intervals(
    called: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray, level: float = LEVEL, rounds: int = ROUNDS
) -> dict[str, Interval]:
    """Intervals of `accuracy` and of `f1` of "same" at a fixed threshold.

    Pairs that share a person are not independent: drawing pairs would give intervals that are too small. Instead the people
    are drawn, as `pair_weights` says. It errs on the safe side: for pairs of two people of whom nobody is in another pair the
    interval is up to sqrt(3) times as wide as it need be.

    called, same: (N,) bool. first, second: (N,) integers from 0, whom each pair compares: people where they are known,
    otherwise pictures. The same arguments give the same intervals.
    """
    units = int(max(first.max(), second.max())) + 1
    # All pairs of the same two people are drawn together: there may be far fewer of these than pairs.
    couples, couple = np.unique(np.minimum(first, second) * units + np.maximum(first, second), return_inverse=True)
    one, other = couples // units, couples % units
    kinds = np.stack([np.bincount(couple, kind, len(couples)) for kind in _kinds(called, same)])
    pieces = [_scores(kinds, pair_weights(times, one, other, one == other)) for times in draws(units, len(couples), rounds)]
    return {name: middle(np.concatenate([piece[name] for piece in pieces]), level) for name in pieces[0]}


def pair_weights(times: np.ndarray, first: np.ndarray, second: np.ndarray, within: np.ndarray) -> np.ndarray:
    """How often each pair counts where what it compares was drawn `times` (B, units): (N, B) float32.

    A pair of two counts as often as the product of their numbers of draws, a pair within one as often as that one was drawn
    (the vertex bootstrap of Snijders and Borgatti 1999; for faces the subset bootstrap of Bolle et al. 2004).

    first, second: (N,) units, or samples of them. within: (N,) bool, of one unit.
    """
    side_by_side = np.ascontiguousarray(times.T, dtype=np.float32)  # what a pair reads is together in memory
    between = np.flatnonzero(~within)
    weights: np.ndarray = side_by_side[first]
    weights[between] *= side_by_side[second[between]]
    return weights


def weighted_scores(weights: np.ndarray, called: np.ndarray, same: np.ndarray) -> dict[str, np.ndarray]:
    """`accuracy` and `f1` of "same", (B,) each, where pairs count `weights` (N, B); NaN where none does.

    called, same: (N,) bool.
    """
    return _scores(_kinds(called, same), weights)


def _kinds(called: np.ndarray, same: np.ndarray) -> np.ndarray:
    """(5, N) bool: the pairs that are right, right and the same, called the same, the same, and all."""
    return np.stack([called == same, called & same, called, same, np.ones_like(same)])


def _scores(kinds: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """kinds: (5, N), how many of each kind. weights: (N, B) float32."""
    # Sums of whole numbers, exact in single precision up to 2 ** 24, i.e. for several million pairs.
    right, both, called, same, counted = (kinds.astype(np.float32) @ weights).astype(np.float64)
    some = counted > 0  # a round may leave no pair at all where there are very few people; it says nothing
    accuracy = np.divide(right, counted, out=np.full(len(counted), np.nan), where=some)
    return {"accuracy": accuracy, "f1": np.where(some, 2 * both / np.maximum(called + same, 1), np.nan)}
