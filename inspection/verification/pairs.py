"""Pairs next to the truth, by the functions of the metrics.

scores: (N,) float64, finite, larger is more alike. same: (N,) bool, True for two pictures of one person.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from base.verification.pairs import PAIRS, Distance, pair_scores, pairs_of
from inspection.cache import by_file
from inspection.results import Result
from inspection.verification.kind import EMBEDDING
from model.verification import pair_metrics as exact

POINTS = 400  # of a curve on the page
LIMITS = (0.001, 0.01, 0.1)  # rates of false accepts


class Rates(NamedTuple):
    """At one threshold. accuracy, far (impostors accepted), frr (the genuine refused), f1 of "same": in [0, 1]."""

    accuracy: float
    far: float
    frr: float
    f1: float
    accepted: int


@by_file(entries=4)
def read(path: Path, result: Result) -> pd.DataFrame:
    """Return the pairs of an evaluation: columns image1, image2, same (1, 0, -1 if not known) and score.

    The score is NaN for a picture that could not be read, and for the cosine of a zero vector. path: the predictions file.
    Raises UserError if there are no pairs, or they name pictures that are no samples.
    """
    pairs = pairs_of(result.samples)
    scores = pair_scores(result.predictions.array(EMBEDDING), pairs.first, pairs.second, distance(result))
    names = {name: result.samples.related[PAIRS][name].to_pylist() for name in ("image1", "image2")}
    return pd.DataFrame({**names, "same": pairs.same, "score": scores})


def alike(vectors: np.ndarray, query: np.ndarray, measure: Distance) -> np.ndarray:
    """Return how alike each of the vectors (N, D) is to the query (D,), (N,) float64, as `read` compares pairs."""
    both = np.concatenate([vectors, query[None]])
    return pair_scores(both, np.arange(len(vectors)), np.full(len(vectors), len(vectors)), measure)


def distance(result: Result) -> Distance:
    """Return how the metric that fitted the threshold compared."""
    return "euclidean" if any("euclidean" in name for name in fitted(result)) else "cosine"


def fitted(result: Result) -> dict[str, float]:
    """Return the thresholds that were fitted on validation, by name."""
    found = [values for values in result.manifest.fitted.values() if isinstance(values, dict)]
    return {str(name): float(value) for values in found for name, value in values.items() if str(name).startswith("threshold")}


def rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> Rates:
    """Return the rates if pairs with at least the threshold are taken for one person. Raises ValueError for one kind alone."""
    called = scores >= threshold
    accuracy, f1 = exact.accuracy(called, same), exact.f1(called, same)
    return Rates(accuracy, *exact.error_rates(called, same), f1, int(called.sum()))


def curve(roc: exact.Curve) -> pd.DataFrame:
    """Return the columns threshold, far, frr of the ROC, from strict to lenient, at most POINTS of its points."""
    table = pd.DataFrame({"threshold": _finite(roc.threshold), "far": roc.far, "frr": 1 - roc.tar})
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, POINTS).round().astype(int))].reset_index(drop=True)


def at_limits(roc: exact.Curve, scores: np.ndarray, same: np.ndarray) -> pd.DataFrame:
    """Return a row for each of LIMITS that the pairs can show: columns limit, threshold, far, frr, accuracy."""
    thresholds, different = _finite(roc.threshold), int((~same).sum())
    cuts = {limit: cut for limit in LIMITS if (cut := exact.cut_at_far(roc, limit, different)) is not None}
    rows = [
        (limit, thresholds[cut], roc.far[cut], 1 - roc.tar[cut], exact.accuracy(scores >= thresholds[cut], same))
        for limit, cut in cuts.items()
    ]
    return pd.DataFrame(rows, columns=["limit", "threshold", "far", "frr", "accuracy"])


def hardest(pairs: pd.DataFrame, same: bool) -> pd.DataFrame:
    """Return the pairs of one person from the least alike on, or the pairs of two people from the most alike on."""
    of_one, of_two = exact.hardest(pairs["score"].to_numpy(float), (pairs["same"] == 1).to_numpy(), len(pairs))
    return pairs.iloc[of_one if same else of_two].reset_index(drop=True)


def flat(embeddings: np.ndarray) -> np.ndarray:
    """Return (N, D) -> (N, 2): the two directions in which embeddings differ most (principal components); NaN rows stay NaN."""
    known = np.isfinite(embeddings).all(axis=1)
    centred = embeddings[known] - embeddings[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    places = np.full((len(embeddings), 2), np.nan)
    places[known] = centred @ axes[:, [-1, -2]]
    return places


def _finite(falling: np.ndarray) -> np.ndarray:
    """Return the thresholds of a ROC with a number just above all scores in place of infinity."""
    return np.concatenate([[np.nextafter(falling[1], np.inf)], falling[1:]])
