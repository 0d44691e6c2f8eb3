"""Scores of a gallery: whether the pictures nearest to one show the same person. Pure functions, exact, in blocks of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from base.verification.pairs import Distance

BLOCK = 1024  # queries at a time: 1,024 rows of similarities to a gallery of a million are 4 GB, to 10,000 they are 40 MB


class Retrieval(NamedTuple):
    """Means over the queries: the pictures of people who have another one in the gallery."""

    recall_at_1: float  # share whose nearest other picture is of the same person
    map_at_r: float
    queries: int


def retrieval(embeddings: np.ndarray, people: np.ndarray, distance: Distance, block: int = BLOCK) -> Retrieval | None:
    """Every picture searched among all others; None where nobody has two.

    MAP@R is the mean over the queries of 1/R sum over i <= R of P(i) rel(i), R the number of other pictures of the query's
    person, P(i) the precision among the i nearest (Musgrave et al. 2020, equation 1). Of equally near ones the first row
    comes first.

    embeddings: (U, D) float, without zero vectors where the distance is the cosine. people: (U,) integers from 0.
    """
    others = np.bincount(people)[people] - 1  # (U,)
    queries = np.flatnonzero(others > 0)
    if not len(queries):
        return None
    vectors = embeddings.astype(np.float64)
    if distance == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, averages = np.empty(len(queries), bool), np.empty(len(queries))
    for start in range(0, len(queries), block):
        rows = queries[start : start + block]
        near = _nearest(vectors, rows, int(others[rows].max()), distance)  # (b, R)
        hits = people[near] == people[rows][:, None]
        first[start : start + block] = hits[:, 0]
        averages[start : start + block] = average_precision_at_r(hits, others[rows])
    return Retrieval(float(first.mean()), float(averages.mean()), len(queries))


def average_precision_at_r(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """1/R sum over i <= R of P(i) rel(i) for each query, (Q,). hits: (Q, at least R) bool, nearest first. relevant: R, (Q,)."""
    rank = np.arange(1, hits.shape[1] + 1)
    counted = hits & (rank <= relevant[:, None])
    precision = np.cumsum(counted, axis=1) / rank
    return np.asarray((precision * counted).sum(axis=1) / relevant)


def _nearest(vectors: np.ndarray, rows: np.ndarray, number: int, distance: Distance) -> np.ndarray:
    """The `number` nearest other rows to each of `rows`, nearest first, (len(rows), number)."""
    near = vectors[rows] @ vectors.T
    if distance == "euclidean":  # |a - b|² = |a|² + |b|² - 2 a·b; the first is the same for all that a query sees
        near = 2 * near - np.square(vectors).sum(axis=1)
    near[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-near, axis=1, kind="stable")[:, :number]
