"""Figures of class probabilities and their truth, computed by the functions of the metrics. Samples without a truth are left out.

N samples, K classes. probabilities: (N, K) float64, NaN for a picture that could not be read. truth, answer: (N,) integers,
-1 if not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from model.attributes import measures

Z95 = 1.959964  # the normal distribution's 97.5 % quantile


def predicted(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class of each sample, (N,) int64; -1 for a sample without a prediction."""
    there = np.isfinite(probabilities).all(axis=1)
    return np.where(there, np.where(there[:, None], probabilities, 0).argmax(axis=1), -1)


def loss(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return -log of the true class's probability in nats, (N,) float64; NaN if truth or prediction is not known."""
    rows, values = known(truth, predicted(probabilities)), np.full(len(truth), np.nan)
    values[rows] = measures.losses(probabilities[rows], truth[rows])
    return values


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """Return the largest probability of each sample, (N,) float64."""
    return np.asarray(probabilities.max(axis=1))


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Return the largest minus the second largest probability, (N,) float64; the probability itself if there is one class."""
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
    """Return the given rows, (n,) integers, sorted by one of ORDERS; rows without a value come last, ties keep their order."""
    return np.asarray(rows[np.argsort(ORDERS[by](probabilities[rows], truth[rows]), kind="stable")])


def known(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return a mask (N,) bool of the samples that have both a truth and an answer."""
    return np.asarray((truth >= 0) & (answer >= 0))


def confusion(truth: np.ndarray, answer: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, (K, K) integers: number of samples by true class (row) and predicted class (column)."""
    rows = known(truth, answer)
    return measures.confusion(truth[rows], answer[rows], classes)


class Figures(NamedTuple):
    """Accuracy, macro F1 and expected calibration error in [0, 1], and mean loss in nats, over the known samples."""

    samples: int
    wrong: int
    accuracy: float
    f1: float
    loss: float
    calibration: float


def figures(probabilities: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> Figures:
    """Return the figures of a label, equal to the metrics on the same samples; NaN if no sample is known."""
    rows = known(truth, answer)
    if not rows.any():
        return Figures(0, 0, *[float("nan")] * 4)
    values, right, said = probabilities[rows], truth[rows], answer[rows]
    return Figures(
        int(rows.sum()),
        int((right != said).sum()),
        measures.accuracy(right, said),
        measures.macro_f1(right, said),
        measures.log_loss(values, right),
        measures.calibration_error(values, right),
    )


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Return a table with a row for each bin of confidence that has samples: columns low, high, samples, confidence, accuracy."""
    rows = known(truth, predicted(probabilities))
    return pd.DataFrame(measures.calibration_bins(probabilities[rows], truth[rows])._asdict())


def wilson(right: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % intervals of the shares right / number (Wilson 1927): lower and upper bounds in [0, 1], (n,) each."""
    share = right / number
    centre = (share + Z95**2 / (2 * number)) / (1 + Z95**2 / number)
    half = Z95 / (1 + Z95**2 / number) * np.sqrt(share * (1 - share) / number + Z95**2 / (4 * number**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def slices(columns: Mapping[str, np.ndarray], truth: np.ndarray, answer: np.ndarray, least: int = 1) -> pd.DataFrame:
    """Return a table with a row per value of each column: attribute, value, samples, wrong, accuracy, low, high.

    low, high: bounds of the 95 % interval of the accuracy. Rows are sorted by high, lowest first, so that a slice of two wrong
    samples does not come before a slice of two hundred. columns: name -> (N,) str. least: smaller slices are left out.
    """
    rows = known(truth, answer)
    right = (truth == answer)[rows]
    pieces = []
    for name, texts in columns.items():
        codes, values = pd.factorize(texts[rows], sort=True)
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
