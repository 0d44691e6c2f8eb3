"""Fusion of predictions of equal shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from base.base_fusion import FUSIONS, BaseFusion
from base.predictions import Predictions, average, combined
from utils.errors import UserError

SMALLEST = float(np.finfo(np.float32).tiny)  # in place of a probability of 0, whose logarithm is not finite


@FUSIONS.register()
class MeanFusion(BaseFusion):
    """The weighted mean of every column: of probabilities, or of embeddings."""

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return the weighted means, of the same shapes. Raises UserError for predictions of varying length, such as boxes."""
        return average(several, weights)


@FUSIONS.register()
class LogitFusion(BaseFusion):
    """The weighted mean of logits; for the probabilities of a label, the geometric mean, scaled to a sum of 1.

    A source that gives a class a probability near 0 counts more than in a mean of probabilities (the logarithmic opinion
    pool: Genest and Zidek 1986).
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return probabilities, (N, K) with rows of sum 1, or (N,). Raises UserError for values outside [0, 1]."""
        return combined(several, lambda arrays: mean_logits(arrays, weights))


@FUSIONS.register()
class RankFusion(BaseFusion):
    """The weighted mean of ranks: for each class, the rank of a sample among all samples that are predicted together.

    Sources with confident and with cautious probabilities count alike, because only the order of the samples is used. How
    frequent a class is gets lost: use it for scores by rank, such as AUC. A sample's prediction depends on the other samples.
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return ranks in (0, 1], (N, K) with rows scaled to a sum of 1, or (N,). Raises UserError for a single sample."""
        if len(several[0]) < 2:
            raise UserError("RankFusion: one sample has no rank among others; predict more together, or name another fusion")
        return combined(several, lambda arrays: mean_ranks(arrays, weights))


def mean_logits(arrays: Sequence[np.ndarray], weights: Sequence[float] | None) -> np.ndarray:
    """Return softmax(sum w log p) of S arrays (N, K), or sigmoid(sum w logit p) of S arrays (N,); float64.

    Rows of NaN stay NaN. Raises UserError for values outside [0, 1].
    """
    stacked = np.stack(arrays).astype(np.float64)
    if np.nanmin(stacked, initial=0.0) < 0 or np.nanmax(stacked, initial=0.0) > 1 + 1e-4:
        raise UserError("LogitFusion: predictions beyond 0 and 1 are no probabilities; name another fusion")
    both = stacked if stacked.ndim == 3 else np.stack([1 - stacked, stacked], axis=2)  # (S, N, K)
    logits = np.average(np.log(np.maximum(both, SMALLEST)), axis=0, weights=weights)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return probabilities if stacked.ndim == 3 else probabilities[:, 1]


def mean_ranks(arrays: Sequence[np.ndarray], weights: Sequence[float] | None) -> np.ndarray:
    """Return the mean over S arrays (N, K) or (N,) of rank / N in each column; rows of NaN have no rank.

    Equal values share a rank. Rows of (N, K) are scaled to a sum of 1.
    """
    from scipy.stats import rankdata  # takes a second to import

    ranks = [rankdata(array, axis=0, nan_policy="omit") / np.isfinite(array).sum(axis=0) for array in arrays]
    means = np.asarray(np.average(ranks, axis=0, weights=weights))
    return means / means.sum(axis=1, keepdims=True) if means.ndim == 2 else means
