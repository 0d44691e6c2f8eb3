"""Confidence intervals of scores of pairs: people, not pairs, are drawn at random."""

from __future__ import annotations

import numpy as np

from base.bootstrap import LEVEL, ROUNDS, Interval, draws, middle


def pair_intervals(
    called: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray, level: float = LEVEL, rounds: int = ROUNDS
) -> dict[str, Interval]:
    """Return intervals of `accuracy` and of `f1` of "same" at a fixed threshold.

    Pairs that share a person are not independent: drawing pairs would give intervals that are too narrow. Instead people are
    drawn, see `pair_weights`. The intervals are rather too wide than too narrow: if nobody is in more than one pair, an
    interval of pairs of two people is up to sqrt(3) times as wide as necessary.

    called, same: (N,) bool. first, second: (N,) integers from 0, the two sides of each pair: people if they are known,
    otherwise pictures. The same arguments give the same intervals.
    """
    units = int(max(first.max(), second.max())) + 1
    # All pairs of the same two people are drawn together: there may be far fewer couples of people than pairs.
    couples, couple = np.unique(np.minimum(first, second) * units + np.maximum(first, second), return_inverse=True)
    one, other = couples // units, couples % units
    kinds = np.stack([np.bincount(couple, kind, len(couples)) for kind in _kinds(called, same)])
    pieces = [_scores(kinds, pair_weights(times, one, other, one == other)) for times in draws(units, len(couples), rounds)]
    return {name: middle(np.concatenate([piece[name] for piece in pieces]), level) for name in pieces[0]}


def pair_weights(times: np.ndarray, first: np.ndarray, second: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the number of times that each pair counts if its two units were drawn `times` (B, units): (N, B) float32.

    A pair of two units counts as often as the product of their numbers of draws, a pair within one unit as often as the unit
    was drawn (the vertex bootstrap of Snijders and Borgatti 1999; for faces the subset bootstrap of Bolle et al. 2004).

    first, second: (N,) integers, units (or samples of units). within: (N,) bool, True if both sides are the same unit.
    """
    side_by_side = np.ascontiguousarray(times.T, dtype=np.float32)  # the values that a pair reads lie together in memory
    between = np.flatnonzero(~within)
    weights: np.ndarray = side_by_side[first]
    weights[between] *= side_by_side[second[between]]
    return weights


def weighted_scores(weights: np.ndarray, called: np.ndarray, same: np.ndarray) -> dict[str, np.ndarray]:
    """Return `accuracy` and `f1` of "same", (B,) float64 each, if pairs count `weights` (N, B); NaN if no pair counts.

    called, same: (N,) bool.
    """
    return _scores(_kinds(called, same), weights)


def _kinds(called: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return (5, N) bool: pairs that are right, right and the same, called the same, the same, and all pairs."""
    return np.stack([called == same, called & same, called, same, np.ones_like(same)])


def _scores(kinds: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return `accuracy` and `f1`, (B,) float64 each. kinds: (5, N), numbers of pairs of each kind. weights: (N, B) float32."""
    # Sums of whole numbers, exact in single precision up to 2 ** 24, i.e. for several million pairs.
    right, both, called, same, counted = (kinds.astype(np.float32) @ weights).astype(np.float64)
    some = counted > 0  # with very few people a round may draw no pair at all; its scores are NaN
    accuracy = np.divide(right, counted, out=np.full(len(counted), np.nan), where=some)
    return {"accuracy": accuracy, "f1": np.where(some, 2 * both / np.maximum(called + same, 1), np.nan)}
