"""Verification from scores: pure functions. scores: (N,), larger is more alike; same: (N,) bool, whether it is one person."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inspection.cache import by_file
from utils.errors import UserError

COLUMNS = ("image1", "image2", "label", "score")
SAME = 0  # the label of a pair of one person's pictures
POINTS = 400  # of a curve on the page


class Rates(NamedTuple):
    """At one threshold. accuracy, far (impostors accepted), frr (the genuine refused), f1 of "same": in [0, 1]."""

    accuracy: float
    far: float
    frr: float
    f1: float
    accepted: int


@by_file(entries=4)
def read(path: Path) -> pd.DataFrame:
    """Columns image1, image2, label, score of a file. Raises UserError for a file that has them not."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: is not a table of pairs ({str(error).splitlines()[0]})") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise UserError(f"{path}: has no column {missing[0]}; needed: {', '.join(COLUMNS)}")
    return pd.DataFrame(table.to_pandas())


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
    chosen = pairs[(pairs["label"] == SAME) == same]
    return chosen.sort_values("score", ascending=same, kind="stable", na_position="last", ignore_index=True)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine between the rows of a (N, D) and the vector b (D,), in [-1, 1]."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b)
    return np.asarray((a @ b) / np.where(lengths == 0, 1, lengths))


def flat(embeddings: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, 2): the two directions in which they differ most (principal components); NaN rows stay NaN."""
    known = np.isfinite(embeddings).all(axis=1)
    centred = embeddings[known] - embeddings[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    places = np.full((len(embeddings), 2), np.nan)
    places[known] = centred @ axes[:, [-1, -2]]
    return places
