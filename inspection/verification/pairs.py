"""Comparison of the scores of pairs with the truth, by the functions of the metrics.

scores: (N,) float64, finite, larger if more alike. same: (N,) bool, True for two pictures of one person.
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

POINTS = 400  # largest number of points of a curve on the page
LIMITS = (0.001, 0.01, 0.1)  # false accept rates


class Rates(NamedTuple):
    """The rates at one threshold, in [0, 1]: accuracy, far (false accepts), frr (false rejects), F1 of "same".

    accepted: number of pairs whose score is at least the threshold.
    """

    accuracy: float
    far: float
    frr: float
    f1: float
    accepted: int


@by_file(entries=4)
def read(path: Path, result: Result) -> pd.DataFrame:
    """Return a table of the pairs of an evaluation: columns image1, image2, same (1, 0, -1 if not known) and score.

    The score is NaN if a picture could not be read, or for the cosine of a zero vector. path: the predictions file.
    Raises UserError if there are no pairs, or if they name pictures that are not samples.
    """
    pairs = pairs_of(result.samples)
    scores = pair_scores(result.predictions.array(EMBEDDING), pairs.first, pairs.second, distance(result))
    names = {name: result.samples.related[PAIRS][name].to_pylist() for name in ("image1", "image2")}
    return pd.DataFrame({**names, "same": pairs.same, "score": scores})


def alike(vectors: np.ndarray, query: np.ndarray, measure: Distance) -> np.ndarray:
    """Return the similarity of each of the vectors (N, D) to the query (D,), (N,) float64, with the score of `read`."""
    both = np.concatenate([vectors, query[None]])
    return pair_scores(both, np.arange(len(vectors)), np.full(len(vectors), len(vectors)), measure)


def distance(result: Result) -> Distance:
    """Return the distance of the metric that fitted the threshold: euclidean or cosine."""
    return "euclidean" if any("euclidean" in name for name in fitted(result)) else "cosine"


def fitted(result: Result) -> dict[str, float]:
    """Return name -> threshold, for the thresholds that were fitted on validation."""
    sections = [values for values in result.manifest.fitted.values() if isinstance(values, dict)]
    return {str(name): float(value) for values in sections for name, value in values.items() if str(name).startswith("threshold")}


def rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> Rates:
    """Return the rates if pairs with a score of at least the threshold are accepted as one person.

    Raises ValueError if all pairs are of one kind.
    """
    called = scores >= threshold
    accuracy, f1 = exact.accuracy(called, same), exact.f1(called, same)
    return Rates(accuracy, *exact.error_rates(called, same), f1, int(called.sum()))


def curve(roc: exact.Curve) -> pd.DataFrame:
    """Return a table of at most POINTS points of the ROC: columns threshold, far, frr, the highest threshold first."""
    table = pd.DataFrame({"threshold": _finite(roc.threshold), "far": roc.far, "frr": 1 - roc.tar})
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, POINTS).round().astype(int))].reset_index(drop=True)


def at_limits(roc: exact.Curve, scores: np.ndarray, same: np.ndarray) -> pd.DataFrame:
    """Return a table with a row for each of LIMITS that the pairs can measure: limit, threshold, far, frr, accuracy."""
    thresholds, different = _finite(roc.threshold), int((~same).sum())
    cuts = {limit: cut for limit in LIMITS if (cut := exact.cut_at_far(roc, limit, different)) is not None}
    rows = [
        (limit, thresholds[cut], roc.far[cut], 1 - roc.tar[cut], exact.accuracy(scores >= thresholds[cut], same))
        for limit, cut in cuts.items()
    ]
    return pd.DataFrame(rows, columns=["limit", "threshold", "far", "frr", "accuracy"])


def hardest(pairs: pd.DataFrame, same: bool) -> pd.DataFrame:
    """Return the pairs of one person, the least alike first (same), or the pairs of two people, the most alike first."""
    of_one, of_two = exact.hardest(pairs["score"].to_numpy(float), (pairs["same"] == 1).to_numpy(), len(pairs))
    return pairs.iloc[of_one if same else of_two].reset_index(drop=True)


def flat(embeddings: np.ndarray) -> np.ndarray:
    """Return the first two principal components of embeddings, (N, D) -> (N, 2) float64; NaN rows stay NaN."""
    known = np.isfinite(embeddings).all(axis=1)
    centred = embeddings[known] - embeddings[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    places = np.full((len(embeddings), 2), np.nan)
    places[known] = centred @ axes[:, [-1, -2]]
    return places


def _finite(falling: np.ndarray) -> np.ndarray:
    """Return the thresholds of a ROC, (n,), with a number just above all scores in place of infinity."""
    return np.concatenate([[np.nextafter(falling[1], np.inf)], falling[1:]])
