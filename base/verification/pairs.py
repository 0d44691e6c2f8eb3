"""Store pairs of samples to compare, and score a pair by the similarity of its vectors.

A table with pairs has a related table `pairs` with the columns image1, image2 (ids) and same.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from base.predictions import Predictions
from base.table import SampleTable, some
from utils.errors import UserError

IDENTITY = "identity"  # the label, the column with its numbers, and the output of a head for it
PAIRS = "pairs"
SAME, DIFFERENT, UNKNOWN = 1, 0, -1

Distance = Annotated[
    Literal["cosine", "euclidean"], Field(description="of two embeddings: cosine, or euclidean on the embeddings as they are")
]
CHUNK = 1024  # pairs at a time; their vectors fit into a processor's cache


class Pairs(NamedTuple):
    """The rows of the samples of N pairs."""

    first: np.ndarray  # (N,) int64
    second: np.ndarray  # (N,) int64
    same: np.ndarray  # (N,) int8: 1 for samples of the same class, 0 of different classes, -1 not known

    @property
    def known(self) -> bool:
        """True if there are pairs, and `same` is known for all of them."""
        return len(self.same) > 0 and bool((self.same != UNKNOWN).all())


def pairs_of(table: SampleTable) -> Pairs:
    """Return the table's pairs as rows. Raises UserError if the table has no pairs, or a pair names an unknown sample."""
    if PAIRS not in table.related:
        raise UserError(f"{table.root}: has no pairs of samples to compare; read it with a reader of pairs")
    columns, ids = table.related[PAIRS], pa.array(table.ids(), pa.string())
    rows = [pa.compute.index_in(columns[name], value_set=ids) for name in ("image1", "image2")]
    lost = [
        name
        for column, places in zip(("image1", "image2"), rows, strict=True)
        if places.null_count
        for name, row in zip(columns[column].to_pylist(), places.to_pylist(), strict=True)
        if row is None
    ]
    if lost:
        raise UserError(f"{table.root}: pairs name {some(lost)}, which are no samples")
    first, second = (np.asarray(places.combine_chunks()).astype(np.int64) for places in rows)
    return Pairs(first, second, np.asarray(columns["same"]).astype(np.int8))


def add_pairs(table: SampleTable, pairs: Pairs) -> SampleTable:
    """Return the table with the given pairs in place of its own."""
    ids = np.array(table.ids(), object)
    columns = {"image1": pa.array(ids[pairs.first], pa.string()), "image2": pa.array(ids[pairs.second], pa.string())}
    return SampleTable(table.root, table.columns, {**table.related, PAIRS: pa.table({**columns, "same": pa.array(pairs.same)})})


def require_vectors(predictions: Predictions, name: str, distance: Distance) -> np.ndarray:
    """Return a prediction column as vectors (U, D) float.

    Raises UserError that names the samples whose vector is missing, not finite, or (for the cosine) zero.
    """
    failed = predictions.failed()
    if failed:
        described = some([f"{sample} {reason}" for sample, reason in failed.items()])
        raise UserError(f"{len(failed)} samples have no {name}: {described}; repair them, or leave their pairs out")
    vectors, ids = predictions.array(name), predictions.ids()
    finite = np.isfinite(vectors).all(axis=1)
    bad = [ids[row] for row in np.flatnonzero(~finite)]
    if bad:
        raise UserError(f"the {name} of {some(bad)} is not finite; the model has diverged, use an earlier checkpoint")
    zero = [ids[row] for row in np.flatnonzero(~vectors.any(axis=1))]
    if zero and distance == "cosine":
        raise UserError(f"the {name} of {some(zero)} is a zero vector, which has no cosine; the model has collapsed")
    return vectors


def pair_scores(vectors: np.ndarray, first: np.ndarray, second: np.ndarray, distance: Distance) -> np.ndarray:
    """Return the similarity of each pair, (N,) float64: the cosine in [-1, 1], or minus the Euclidean distance.

    vectors: (U, D) float. first, second: (N,) int64, rows of `vectors`. The cosine with a zero vector is not defined: NaN.
    """
    scores = np.empty(len(first))
    lengths = _lengths(vectors) if distance == "cosine" else None
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        a, b = (vectors[rows[part]].astype(np.float64) for rows in (first, second))
        if lengths is None:
            scores[part] = -np.linalg.norm(a - b, axis=1)
        else:
            with np.errstate(invalid="ignore"):
                scores[part] = np.einsum("nd,nd->n", a, b) / (lengths[first[part]] * lengths[second[part]])
    return scores


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths (U,) float64 of vectors (U, D) float."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK):
        part = slice(start, start + CHUNK)
        lengths[part] = np.linalg.norm(vectors[part].astype(np.float64), axis=1)
    return lengths


def median_threshold(scores: np.ndarray) -> float:
    """Return the threshold halfway between the two middle scores (N,) float64, N > 1: half of the pairs reach it."""
    ordered = np.sort(scores)[::-1]
    return between(ordered, (len(ordered) + 1) // 2)


def between(falling: np.ndarray, cut: int) -> float:
    """Return a threshold that the first `cut` of the scores `falling` (N,) float64, largest first, reach.

    The threshold is halfway between score `cut` and the next, and above the next also in floating point. Equal scores on both
    sides of the cut cannot be separated; then all of them reach the threshold.
    """
    if cut == len(falling):
        return float(falling[-1])
    if cut == 0:
        return float(np.nextafter(falling[0], np.inf))
    reached, below = falling[cut - 1], falling[cut]
    middle = below + (reached - below) / 2
    return float(middle if middle > below else reached)
