"""Scores of a gallery: the nearest pictures of a query should show the same person. Exact pure functions, in blocks of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from base.verification.pairs import Distance

BLOCK = 1024  # queries at a time: 1,024 rows of similarities to a gallery of a million are 4 GB, to 10,000 they are 40 MB


class Retrieval(NamedTuple):
    """Means over the queries: the pictures of people who have another picture in the gallery."""

    recall_at_1: float  # share of the queries whose nearest other picture is of the same person
    map_at_r: float
    queries: int


def retrieval(embeddings: np.ndarray, people: np.ndarray, distance: Distance, block: int = BLOCK) -> Retrieval | None:
    """Search every picture among all others, and return the means; None if nobody has two pictures.

    MAP@R is the mean over the queries of 1/R sum over i <= R of P(i) rel(i), R the number of other pictures of the query's
    person, P(i) the precision among the i nearest (Musgrave et al. 2020, equation 1). Of equally near pictures the first row
    comes first.

    embeddings: (U, D) float, without zero vectors if the distance is the cosine. people: (U,) integers from 0.
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
    """Return 1/R sum over i <= R of P(i) rel(i) for each query, (Q,) float64.

    hits: (Q, at least R) bool, nearest first. relevant: R of each query, (Q,) integers.
    """
    rank = np.arange(1, hits.shape[1] + 1)
    counted = hits & (rank <= relevant[:, None])
    precision = np.cumsum(counted, axis=1) / rank
    return np.asarray((precision * counted).sum(axis=1) / relevant)


def _nearest(vectors: np.ndarray, rows: np.ndarray, number: int, distance: Distance) -> np.ndarray:
    """Return the `number` nearest other rows to each of `rows`, nearest first, (len(rows), number) int64.

    vectors: (U, D) float64. rows: indices into `vectors`.
    """
    near = vectors[rows] @ vectors.T
    if distance == "euclidean":  # |a - b|² = |a|² + |b|² - 2 a·b; |a|² is the same for all pictures of a query
        near = 2 * near - np.square(vectors).sum(axis=1)
    near[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-near, axis=1, kind="stable")[:, :number]
