"""Scores of class probabilities next to the truth: pure functions, which the metrics and the app share.

N samples, whose truth and prediction are known; K classes. truth, predicted: (N,) integers from 0. probabilities: (N, K)
float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 1e-30  # in place of a probability of 0, whose logarithm is not finite; float32 rounds to 0 below 1e-45
BINS = 15


class Bins(NamedTuple):
    """The bins of confidence that hold samples, (B,) each."""

    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray  # int64
    confidence: np.ndarray  # mean
    accuracy: np.ndarray


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of samples that are right, N > 0."""
    return float(np.mean(truth == predicted))


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of 2 tp / (2 tp + fp + fn) over the classes that occur in either, N > 0."""
    counts = confusion(truth, predicted, int(max(truth.max(), predicted.max())) + 1)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * np.diag(counts)[either > 0] / either[either > 0]).mean())


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return numbers of samples, (classes, classes) int64: rows are the truth, columns what is predicted."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def resampled_scores(truth: np.ndarray, predicted: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return accuracy and macro F1, (B,) float64 each, if samples count `times` (B, N); NaN if no sample counts.

    The scores equal `accuracy` and `macro_f1` of samples repeated so often; they are computed from the confusion matrices of
    all B resamplings at once.

    times: (B, N) integers.
    """
    classes = int(max(truth.max(initial=0), predicted.max(initial=0))) + 1
    cells, place = np.unique(truth * classes + predicted, return_inverse=True)  # cells of the confusion matrix that occur
    counts = times @ np.eye(len(cells))[place]  # (B, cells)
    rows, columns = np.eye(classes)[cells // classes], np.eye(classes)[cells % classes]
    right = counts * (cells // classes == cells % classes)
    total = counts.sum(1)
    either = counts @ (rows + columns)  # (B, classes): 2 tp + fp + fn
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.where(either > 0, 2 * (right @ rows) / either, 0).sum(1) / (either > 0).sum(1)
        return right.sum(1) / total, f1


def losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return -log of the true class's probability in nats, (N,)."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], LEAST)))


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean of `losses`, N > 0."""
    return float(losses(probabilities, truth).mean())


def calibration_bins(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> Bins:
    """Return mean confidence and accuracy in bins of equal width (Guo et al. 2017, section 2); bins without samples left out."""
    sure, right, place = _binned(probabilities, truth, bins)
    count = np.bincount(place, minlength=bins)
    rows = np.flatnonzero(count)
    confidence, hits = (np.bincount(place, values, bins)[rows] / count[rows] for values in (sure, right.astype(float)))
    return Bins(rows / bins, (rows + 1) / bins, count[rows], confidence, hits)


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> float:
    """Return the expected distance of confidence and accuracy in the bins (Guo et al. 2017, equation 3), in 0..1, N > 0."""
    sure, right, place = _binned(probabilities, truth, bins)
    return float(np.abs(np.bincount(place, right - sure, bins)).sum() / len(truth))


def _binned(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return confidence, whether the answer is right, and the bin, (N,) each."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    return sure, right, np.minimum((sure * bins).astype(int), bins - 1)
