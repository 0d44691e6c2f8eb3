"""Verification from scores: pure functions. scores: (N,), larger is more alike; same: (N,) bool, whether it is one person."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from inspection.cache import by_file
from inspection.results import Result
from inspection.verification.kind import EMBEDDING
from utils.errors import UserError

PAIRS = "pairs"  # the related table of the samples: image1, image2 (ids), same (1, 0, or -1 where it is not known)
POINTS = 400  # of a curve on the page
CHUNK = 65_536


class Rates(NamedTuple):
    """At one threshold. accuracy, far (impostors accepted), frr (the genuine refused), f1 of "same": in [0, 1]."""

    accuracy: float
    far: float
    frr: float
    f1: float
    accepted: int


@by_file(entries=4)
def read(path: Path, result: Result) -> pd.DataFrame:
    """Columns image1, image2, same (1, 0, -1), score: the pairs of an evaluation, as alike as its embeddings make them.

    path: its predictions file. Raises UserError where there are no pairs, or they name samples that are not there.
    """
    if PAIRS not in result.samples.related:
        raise UserError(f"{result.folder}: its samples have no list of pairs")
    table = pd.DataFrame(result.samples.related[PAIRS].select(["image1", "image2", "same"]).to_pandas())
    place = {sample: row for row, sample in enumerate(result.predictions.ids())}
    try:
        first, second = (np.array([place[sample] for sample in table[name]], int) for name in ("image1", "image2"))
    except KeyError as error:
        raise UserError(f"{result.folder}: the pairs name {error}, which is no sample") from None
    return table.assign(score=scores_of(result.predictions.array(EMBEDDING), first, second, distance(result)))


def scores_of(vectors: np.ndarray, first: np.ndarray, second: np.ndarray, measure: str) -> np.ndarray:
    """(N,) how alike the rows of each pair are: the cosine, or minus the Euclidean distance. vectors: (U, D)."""
    pieces = [np.zeros(0)]
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        pieces.append(alike(vectors[first[part]].astype(np.float64), vectors[second[part]].astype(np.float64), measure))
    return np.concatenate(pieces)


def alike(a: np.ndarray, b: np.ndarray, measure: str) -> np.ndarray:
    """(N,) between the rows of a (N, D) and b (N, D) or (D,). The cosine of a zero vector is 0."""
    if measure == "euclidean":
        return np.asarray(-np.linalg.norm(a - b, axis=-1))
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a * b).sum(axis=-1) / np.where(lengths == 0, 1, lengths))


def distance(result: Result) -> str:
    """`cosine` or `euclidean`, as the metric that fitted the threshold compared."""
    return "euclidean" if any("euclidean" in name for name in fitted(result)) else "cosine"


def fitted(result: Result) -> dict[str, float]:
    """The thresholds that were fitted on validation, by name."""
    found = [values for values in dict(result.manifest.get("fitted") or {}).values() if isinstance(values, dict)]
    return {str(name): float(value) for values in found for name, value in values.items() if str(name).startswith("threshold")}


def rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> Rates:
    """Pairs are taken for one person where score >= threshold. NaN (a picture that could not be read) is never."""
    accepted = scores >= threshold
    hits, false = int((accepted & same).sum()), int((accepted & ~same).sum())
    genuine, impostors = int(same.sum()), int((~same).sum())
    right = hits + impostors - false
    wrong = false + genuine - hits
    return Rates(
        right / max(len(scores), 1),
        false / impostors if impostors else float("nan"),
        1 - hits / genuine if genuine else float("nan"),
        2 * hits / (2 * hits + wrong) if hits + wrong else float("nan"),
        int(accepted.sum()),
    )


def curve(scores: np.ndarray, same: np.ndarray) -> pd.DataFrame:
    """Columns threshold, far, frr, accuracy at every cut between scores (of at most POINTS), from strict to lenient."""
    known = np.isfinite(scores)
    order = np.argsort(-scores[known], kind="stable")
    ranked, hit = scores[known][order], same[known][order]
    ends = np.flatnonzero(np.append(ranked[:-1] != ranked[1:], True)) if len(ranked) else np.array([], int)
    hits, false = np.append(0, np.cumsum(hit)[ends]), np.append(0, np.cumsum(~hit)[ends])
    genuine, impostors = max(int(same.sum()), 1), max(int((~same).sum()), 1)
    cuts = np.append(np.nextafter(ranked[0], np.inf) if len(ranked) else 0.0, ranked[ends])
    accuracy = (hits + (~same).sum() - false) / max(len(scores), 1)
    table = pd.DataFrame({"threshold": cuts, "far": false / impostors, "frr": 1 - hits / genuine, "accuracy": accuracy})
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, POINTS).round().astype(int))].reset_index(drop=True)


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The cut with the highest accuracy over all cuts, halfway between its neighbours."""
    known = np.isfinite(scores)
    values, place = np.unique(scores[known], return_inverse=True)
    if not len(values):
        return 0.0
    gain = np.bincount(place, np.where(same[known], 1, -1), len(values))
    right = np.append(gain[::-1].cumsum()[::-1], 0)  # accepting from value k on, but for the impostors refused by all cuts
    cut = int(right.argmax())
    below, above = values[max(cut - 1, 0)], values[min(cut, len(values) - 1)]
    return float((below + above) / 2) if 0 < cut < len(values) else float(above if cut == 0 else np.nextafter(above, np.inf))


def hardest(pairs: pd.DataFrame, same: bool) -> pd.DataFrame:
    """The pairs of one person that look least alike, or of two people that look most alike; the hardest first."""
    chosen = pairs[pairs["same"] == int(same)]
    return chosen.sort_values("score", ascending=same, kind="stable", na_position="last", ignore_index=True)


def flat(embeddings: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, 2): the two directions in which they differ most (principal components); NaN rows stay NaN."""
    known = np.isfinite(embeddings).all(axis=1)
    centred = embeddings[known] - embeddings[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    places = np.full((len(embeddings), 2), np.nan)
    places[known] = centred @ axes[:, [-1, -2]]
    return places
