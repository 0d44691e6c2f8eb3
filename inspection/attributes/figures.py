"""What can be said of class probabilities next to the truth: pure functions over arrays.

N samples, K classes. probabilities: (N, K), NaN where a picture could not be read. truth: (N,) integers, -1 not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

Z95 = 1.959964  # the normal distribution's 97.5 % quantile
SMALLEST = 1e-12  # a probability of 0 would make the loss infinite, and all such samples equally bad


def predicted(probabilities: np.ndarray) -> np.ndarray:
    """(N,) the most probable class, -1 where there is no prediction."""
    known = np.isfinite(probabilities).all(axis=1)
    return np.where(known, np.where(known[:, None], probabilities, 0).argmax(axis=1), -1)


def loss(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) -log of the true class's probability in nats, NaN where either is not known."""
    own = np.where(truth >= 0, probabilities[np.arange(len(truth)), truth.clip(0)], np.nan)
    return -np.log(np.maximum(own, SMALLEST))


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """(N,) the largest probability."""
    return np.asarray(probabilities.max(axis=1))


def margin(probabilities: np.ndarray) -> np.ndarray:
    """(N,) how far the largest probability is ahead of the second; that itself where there is but one class."""
    if probabilities.shape[1] < 2:
        return confidence(probabilities)
    top = np.partition(probabilities, -2, axis=1)
    return np.asarray(top[:, -1] - top[:, -2])


ORDERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "largest loss": lambda probabilities, truth: -loss(probabilities, truth),
    "least confident": lambda probabilities, _: confidence(probabilities),
    "smallest margin": lambda probabilities, _: margin(probabilities),
    "most confident": lambda probabilities, _: -confidence(probabilities),
}


def ordered(rows: np.ndarray, by: str, probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The given rows in one of the ORDERS; what has no value comes last, ties stay as they are."""
    return np.asarray(rows[np.argsort(ORDERS[by](probabilities[rows], truth[rows]), kind="stable")])


def confusion(truth: np.ndarray, answer: np.ndarray, classes: int) -> np.ndarray:
    """(K, K) number of samples of each true class (row) that were taken for each class (column)."""
    known = (truth >= 0) & (answer >= 0)
    return np.bincount(truth[known] * classes + answer[known], minlength=classes**2).reshape(classes, classes)


class Figures(NamedTuple):
    """Accuracy and macro F1 in [0, 1], mean loss in nats, expected calibration error in [0, 1]; over known samples."""

    samples: int
    wrong: int
    accuracy: float
    f1: float
    loss: float
    calibration: float


def figures(probabilities: np.ndarray, truth: np.ndarray) -> Figures:
    """The figures of a label. F1 is averaged over the classes that are in the truth or among the answers."""
    answer = predicted(probabilities)
    known = (truth >= 0) & (answer >= 0)
    number = int(known.sum())
    if not number:
        return Figures(0, 0, float("nan"), float("nan"), float("nan"), float("nan"))
    matrix = confusion(truth, answer, probabilities.shape[1])
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    f1 = (2 * np.diag(matrix))[both > 0] / both[both > 0]
    right = int(np.trace(matrix))
    error = calibration_error(calibration(probabilities, truth))
    return Figures(number, number - right, right / number, float(f1.mean()), float(np.nanmean(loss(probabilities, truth))), error)


def calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Columns low, high, samples, confidence, accuracy: a row per bin of confidence that has samples.

    Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.
    """
    answer = predicted(probabilities)
    known = (truth >= 0) & (answer >= 0)
    sure, right = confidence(probabilities[known]), (answer == truth)[known]
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    rows = np.flatnonzero(count)
    mean = [np.bincount(place, values, bins)[rows] / count[rows] for values in (sure, right.astype(float))]
    edges = rows / bins
    return pd.DataFrame(
        {"low": edges, "high": edges + 1 / bins, "samples": count[rows], "confidence": mean[0], "accuracy": mean[1]}
    )


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over samples (Guo et al. 2017, equation 5)."""
    if table.empty:
        return float("nan")
    return float(np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["samples"]))


def wilson(right: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share, right out of number (Wilson 1927): lower and upper bounds in [0, 1]."""
    share = right / number
    centre = (share + Z95**2 / (2 * number)) / (1 + Z95**2 / number)
    half = Z95 / (1 + Z95**2 / number) * np.sqrt(share * (1 - share) / number + Z95**2 / (4 * number**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def slices(columns: Mapping[str, np.ndarray], truth: np.ndarray, answer: np.ndarray, least: int = 1) -> pd.DataFrame:
    """A row per value of each column: attribute, value, samples, wrong, accuracy, low, high (of a 95 % interval).

    The worst first: by the upper bound, so that a slice of two unlucky samples does not come before one of two hundred.
    columns: name -> (N,) text. least: slices of fewer samples are left out.
    """
    known = (truth >= 0) & (answer >= 0)
    right = (truth == answer)[known]
    pieces = []
    for name, texts in columns.items():
        codes, values = pd.factorize(texts[known], sort=True)
        number, hits = np.bincount(codes, minlength=len(values)), np.bincount(codes, right, len(values))
        pieces.append(pd.DataFrame({"attribute": name, "value": values, "samples": number, "right": hits}))
    if not pieces:
        return pd.DataFrame(columns=["attribute", "value", "samples", "wrong", "accuracy", "low", "high"])
    table = pd.concat(pieces, ignore_index=True)
    table = table[table["samples"] >= max(least, 1)]
    low, high = wilson(table["right"].to_numpy(), table["samples"].to_numpy())
    table = table.assign(
        wrong=(table["samples"] - table["right"]).astype(int), accuracy=table["right"] / table["samples"], low=low, high=high
    )
    return table.drop(columns="right").sort_values(["high", "accuracy"], kind="stable", ignore_index=True)
