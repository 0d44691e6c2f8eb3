"""Scores of pairs: pure functions on the similarity of two pictures and the truth that both show the same person.

N pairs. scores: (N,) float64, higher for more alike, finite. same: (N,) bool. A pair is called the same if its score is at
least the threshold. All functions raise ValueError if shapes do not fit, or if all pairs are the same or all different.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from base.verification.pairs import between


class Curve(NamedTuple):
    """The rates at every distinct score as threshold, from no pair called the same to all: M = distinct scores + 1."""

    far: np.ndarray  # (M,) share of the different pairs that are called the same: false accepts
    tar: np.ndarray  # (M,) share of the same pairs that are called the same: true accepts
    threshold: np.ndarray  # (M,) falling; the first is infinite


class Folds(NamedTuple):
    """Accuracy by cross-validation over fixed folds."""

    mean: float
    error: float  # standard error of the mean
    accuracies: np.ndarray  # (F,)
    thresholds: np.ndarray  # (F,) each fitted on the other folds


def best_threshold(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Return the threshold of the highest accuracy, and the accuracy: exact, over all cuts between distinct scores.

    The threshold lies halfway between the scores beside its cut. Of equally good cuts the middle one is taken. O(N log N).
    """
    _require_both(scores, same)
    values, accepted_same, accepted_different = _accepted(scores, same)
    right = accepted_same + (accepted_different[-1] - accepted_different)  # (M,), M = distinct scores + 1
    best = np.flatnonzero(right == right.max())
    cut = int(best[len(best) // 2])
    return between(values, cut), float(right[cut] / len(scores))


def roc(scores: np.ndarray, same: np.ndarray) -> Curve:
    """Return false and true accept rates at every distinct score."""
    _require_both(scores, same)
    values, accepted_same, accepted_different = _accepted(scores, same)
    far, tar = accepted_different / accepted_different[-1], accepted_same / accepted_same[-1]
    return Curve(far, tar, np.concatenate([[np.inf], values]))


def auc(curve: Curve) -> float:
    """Return the area below the ROC by trapezoids: the chance that a same pair scores above a different one; ties count half."""
    return float(np.trapezoid(curve.tar, curve.far))


def equal_error_rate(curve: Curve) -> float:
    """Return the rate at which false accepts and false rejects are equally frequent.

    Between the points of the ROC the rates lie on straight lines.
    """
    difference = curve.far - (1 - curve.tar)  # rises from -1 to 1
    after = int(np.argmax(difference >= 0))
    before = after - 1
    share = -difference[before] / (difference[after] - difference[before])
    return float(curve.far[before] + share * (curve.far[after] - curve.far[before]))


def tar_at_far(curve: Curve, far: float, different: int) -> float | None:
    """Return the largest true accept rate with at most the false accept rate `far`; None if one false accept is already more.

    different: the number of different pairs. With fewer than 1 / far different pairs the rate cannot be measured.
    """
    cut = cut_at_far(curve, far, different)
    return None if cut is None else float(curve.tar[cut])


def cut_at_far(curve: Curve, far: float, different: int) -> int | None:
    """Return the index of the most lenient threshold with at most the false accept rate `far`, as `tar_at_far`."""
    if different * far < 1 - 1e-9:
        return None
    allowed = np.floor(different * far + 1e-9) / different
    return int(np.flatnonzero(curve.far <= allowed + 1e-12)[-1])


def d_prime(scores: np.ndarray, same: np.ndarray) -> float:
    """Return |difference of the means| / sqrt(mean of the variances) of both kinds of pairs (Daugman 2000).

    The value is infinite if there is no variance.
    """
    _require_both(scores, same)
    alike, other = scores[same], scores[~same]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(abs(alike.mean() - other.mean()) / np.sqrt((alike.var() + other.var()) / 2))


def accuracy(called: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the share of pairs that are called rightly. called, same: (N,) bool. weights: (N,) float, default all 1."""
    return float(np.average(called == same, weights=weights))


def f1(called: np.ndarray, same: np.ndarray) -> float:
    """Return 2 tp / (2 tp + fp + fn) of "same"; 0 if no pair is the same or called the same. called, same: (N,) bool."""
    counted = called.sum() + same.sum()
    return float(2 * (called & same).sum() / counted) if counted else 0.0


def error_rates(called: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Return the share of different pairs called the same, and of same pairs called different. called, same: (N,) bool.

    False accepts and false rejects: `far` and 1 - `tar` of the ROC at the threshold of the calls.
    """
    _require_both(called, same)
    return float(called[~same].sum() / (~same).sum()), float(1 - called[same].sum() / same.sum())


def cross_validated(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> Folds:
    """Return the accuracy on each fold at the threshold that is best on all other folds: LFW's protocol.

    folds: (N,) integers. The standard error is s / sqrt(F), s with F - 1 (Huang et al. 2007, section IV.A). Raises ValueError
    for fewer than two folds.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError(f"pairs of {len(numbers)} fold; allowed: at least 2")
    thresholds = [best_threshold(scores[folds != fold], same[folds != fold])[0] for fold in numbers]
    here = [folds == fold for fold in numbers]
    rates = np.array([accuracy(scores[rows] >= at, same[rows]) for rows, at in zip(here, thresholds, strict=True)])
    return Folds(float(rates.mean()), float(rates.std(ddof=1) / np.sqrt(len(rates))), rates, np.array(thresholds))


def hardest(scores: np.ndarray, same: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the hardest pairs, up to `number` of each kind, hardest first.

    The first array holds the least alike pairs of one person, the second the most alike pairs of two.
    """
    order = np.argsort(scores, kind="stable")
    return order[same[order]][:number], order[~same[order]][::-1][:number]


def _accepted(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct scores, falling, (M - 1,), and the numbers of same and of different pairs accepted at each cut, (M,) each.

    The first cut accepts no pair, the last one all.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, kind = scores[order], same[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # the last of each group of equal scores
    accepted_same = np.concatenate([[0], np.cumsum(kind)[ends]])
    accepted_different = np.concatenate([[0], np.cumsum(~kind)[ends]])
    return ordered[ends], accepted_same, accepted_different


def _require_both(scores: np.ndarray, same: np.ndarray) -> None:
    if scores.ndim != 1 or scores.shape != same.shape:
        raise ValueError(f"scores {scores.shape} and same {same.shape}; allowed: (N,) and (N,), N pairs")
    if not same.any() or same.all():
        raise ValueError(f"{len(same)} pairs, {int(same.sum())} of them of the same person; both kinds are needed")
