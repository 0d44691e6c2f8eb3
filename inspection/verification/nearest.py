"""Exact search for the vectors of a gallery that are nearest to queries, one block of the gallery at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from utils.errors import UserError

BLOCK = 16_384  # rows of a gallery in a block: 16,384 x 512 float32 are 32 MiB


class Nearest(NamedTuple):
    """The nearest rows of the gallery for each query, nearest first; of equally near rows the first row comes first."""

    scores: np.ndarray  # (Q, k) float32, cosines
    rows: np.ndarray  # (Q, k) int64, of the gallery


def nearest(queries: np.ndarray, blocks: Iterable[np.ndarray], number: int) -> Nearest:
    """Return the `number` rows with the largest cosine to each query; all rows if the gallery is smaller.

    queries: (Q, D) float. blocks: the gallery in order, (n, D) float each. Only one block and the best rows so far are in
    memory. Raises UserError if a vector is zero or not finite.
    """
    wanted = unit(queries, "query")
    scores, rows, start = np.empty((len(wanted), 0), np.float32), np.empty((len(wanted), 0), np.int64), 0
    for block in blocks:
        cosines = wanted @ unit(block, "gallery", start).T  # (Q, n)
        places = best(cosines, number)
        scores = np.concatenate([scores, np.take_along_axis(cosines, places, axis=1)], axis=1)
        rows = np.concatenate([rows, places + start], axis=1)
        kept = best(scores, number)
        scores, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        start += len(block)
    return Nearest(scores, rows)


def best(scores: np.ndarray, number: int) -> np.ndarray:
    """Return the columns of the largest scores of each row, largest first, (Q, number) int64; of equal scores the first column.

    scores: (Q, n). If n is smaller than `number`, the result has n columns.
    """
    number = min(number, scores.shape[1])
    if number == 0:
        return np.empty((len(scores), 0), np.int64)
    # The smallest of the best scores. Too many columns may have this score: the stable sort below takes the first of them.
    least = np.partition(scores, -number, axis=1)[:, -number]
    chosen = np.empty((len(scores), number), np.int64)
    for row, bound in enumerate(least):
        candidates = np.flatnonzero(scores[row] >= bound)
        chosen[row] = candidates[np.argsort(-scores[row, candidates], kind="stable")[:number]]
    return chosen


def unit(vectors: np.ndarray, what: str, start: int = 0) -> np.ndarray:
    """Return the vectors scaled to length 1, (n, D) float32. Raises UserError if a vector is zero or not finite.

    what, start: name of the vectors and number of the first row, for the error.
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise UserError(f"{what}: row {bad[0] + start} is a vector of length {lengths[bad[0]]:g}, which has no cosine")
    scaled: np.ndarray = vectors / lengths[:, None]
    return scaled


def in_blocks(vectors: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield an array (N, D), which may be a memory-mapped file, in blocks (n, D) of at most `size` rows."""
    for start in range(0, len(vectors), size):
        yield vectors[start : start + size]
