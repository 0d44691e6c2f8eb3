"""The nearest vectors to some queries: exact, a block of the gallery at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from utils.errors import UserError

BLOCK = 16_384  # rows of a gallery at a time: 16,384 x 512 float32 are 32 MiB


class Nearest(NamedTuple):
    """For each query its nearest rows, nearest first; of equally near ones the first row comes first."""

    scores: np.ndarray  # (Q, k) float32, cosines
    rows: np.ndarray  # (Q, k) int64, of the gallery


def nearest(queries: np.ndarray, blocks: Iterable[np.ndarray], number: int) -> Nearest:
    """The `number` rows of the largest cosine to each query; fewer where the gallery is smaller.

    queries: (Q, D) float. blocks: the gallery in order, (n, D) float each. Only one block and the best rows so far are
    held. Raises UserError for vectors that are zero or not finite.
    """
    wanted = unit(queries, "query")
    scores, rows, start = np.empty((len(wanted), 0), np.float32), np.empty((len(wanted), 0), np.int64), 0
    for block in blocks:
        found = wanted @ unit(block, "gallery", start).T  # (Q, n)
        places = best(found, number)
        scores = np.concatenate([scores, np.take_along_axis(found, places, axis=1)], axis=1)
        rows = np.concatenate([rows, places + start], axis=1)
        kept = best(scores, number)
        scores, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        start += len(block)
    return Nearest(scores, rows)


def best(scores: np.ndarray, number: int) -> np.ndarray:
    """The places of the largest scores of each row, largest first, (Q, number); of equal ones the first. scores: (Q, n)."""
    number = min(number, scores.shape[1])
    if number == 0:
        return np.empty((len(scores), 0), np.int64)
    # The smallest score that is among the best; equal ones may be too many, so that a stable sort chooses between them.
    least = np.partition(scores, -number, axis=1)[:, -number]
    chosen = np.empty((len(scores), number), np.int64)
    for row, bound in enumerate(least):
        candidates = np.flatnonzero(scores[row] >= bound)
        chosen[row] = candidates[np.argsort(-scores[row, candidates], kind="stable")[:number]]
    return chosen


def unit(vectors: np.ndarray, what: str, start: int = 0) -> np.ndarray:
    """The vectors at length 1, (n, D) float32. Raises UserError naming rows, counted from `start`, that cannot be."""
    vectors = np.asarray(vectors, np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise UserError(f"{what}: row {bad[0] + start} is a vector of length {lengths[bad[0]]:g}, which has no cosine")
    scaled: np.ndarray = vectors / lengths[:, None]
    return scaled


def in_blocks(vectors: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """An array, which may be a file mapped into memory, block by block."""
    for start in range(0, len(vectors), size):
        yield vectors[start : start + size]
