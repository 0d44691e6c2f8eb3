"""Pairs of samples that are compared by their vectors: which they are, and how alike their samples are.

A table whose samples are compared has a related table `pairs` with the columns image1, image2 (ids) and same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from base.predictions import Predictions
from base.table import SampleTable, some
from utils.errors import UserError

IDENTITY = "identity"  # the label, the column with its numbers, and the output of a head for it
PAIRS = "pairs"
SAME, DIFFERENT, UNKNOWN = 1, 0, -1

Distance = Literal["cosine", "euclidean"]
CHUNK = 1024  # pairs at a time, whose vectors a processor's cache holds


class Pairs(NamedTuple):
    """Rows of a table that are compared."""

    first: np.ndarray  # (N,) int64
    second: np.ndarray  # (N,) int64
    same: np.ndarray  # (N,) int8: 1 for two samples of the same class, 0 of different ones, -1 not known

    @property
    def known(self) -> bool:
        """Whether there are pairs, and every one's answer is known."""
        return len(self.same) > 0 and bool((self.same != UNKNOWN).all())


def pairs_of(table: SampleTable) -> Pairs:
    """The table's pairs as rows. Raises UserError where it has none, or names samples that it does not have."""
    if PAIRS not in table.related:
        raise UserError(f"{table.root}: has no pairs of samples to compare; read it with a reader of pairs")
    columns, ids = table.related[PAIRS], pa.array(table.ids(), pa.string())
    rows = [pa.compute.index_in(columns[name], value_set=ids) for name in ("image1", "image2")]
    lost = [name for column, found in zip(("image1", "image2"), rows, strict=True) if found.null_count
            for name, row in zip(columns[column].to_pylist(), found.to_pylist(), strict=True) if row is None]  # fmt: skip
    if lost:
        raise UserError(f"{table.root}: pairs name {some(lost)}, which are no samples")
    first, second = (np.asarray(found.combine_chunks()).astype(np.int64) for found in rows)
    return Pairs(first, second, np.asarray(columns["same"]).astype(np.int8))


def add_pairs(table: SampleTable, pairs: Pairs) -> SampleTable:
    """The table with these pairs beside it, in place of those it had."""
    ids = np.array(table.ids(), object)
    columns = {"image1": pa.array(ids[pairs.first], pa.string()), "image2": pa.array(ids[pairs.second], pa.string())}
    return SampleTable(table.root, table.columns, {**table.related, PAIRS: pa.table({**columns, "same": pa.array(pairs.same)})})


def require_vectors(predictions: Predictions, name: str, distance: Distance) -> np.ndarray:
    """A column as vectors (U, D). Raises UserError naming samples whose vector is missing, not finite, or zero."""
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
    """How alike the samples of each pair are, (N,) float64: the cosine, or minus the Euclidean distance.

    vectors: (U, D) float. first, second: (N,) rows of it. The cosine of a zero vector is not defined: NaN.
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
    """(U, D) -> (U,) float64."""
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = np.linalg.norm(vectors[part].astype(np.float64), axis=1)
    return found


def median_threshold(scores: np.ndarray) -> float:
    """Halfway between the two middle scores (N > 1): calls half of the pairs the same, whatever they are."""
    ordered = np.sort(scores)[::-1]
    return between(ordered, (len(ordered) + 1) // 2)


def between(falling: np.ndarray, cut: int) -> float:
    """A threshold that at least the first `cut` of falling scores reach: halfway to the next one, and above it in floating point.

    Equal scores on both sides of the cut cannot be separated: then all of them reach it.
    """
    if cut == len(falling):
        return float(falling[-1])
    if cut == 0:
        return float(np.nextafter(falling[0], np.inf))
    reached, below = falling[cut - 1], falling[cut]
    middle = below + (reached - below) / 2
    return float(middle if middle > below else reached)
