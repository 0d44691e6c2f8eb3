"""Fusing predictions of equal shapes."""

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
        """The means. Raises UserError for predictions of varying length, such as boxes."""
        return average(several, weights)


@FUSIONS.register()
class LogitFusion(BaseFusion):
    """The weighted mean of logits: of the probabilities of a label the geometric mean, scaled to a sum of 1.

    One source that rules a class out counts more than in a mean of probabilities (the logarithmic opinion pool: Genest and
    Zidek 1986).
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Probabilities, (N, K) with rows of sum 1 or (N,). Raises UserError for what are no probabilities."""
        return combined(several, lambda arrays: mean_logits(arrays, weights))


@FUSIONS.register()
class RankFusion(BaseFusion):
    """The weighted mean of ranks: class by class, how a sample stands among all that are predicted together.

    It makes equal what sources of different sureness say of the order of samples, and forgets how frequent a class is:
    for scores by rank, such as AUC. A sample's prediction depends on the others.
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Ranks in (0, 1], (N, K) with rows scaled to a sum of 1, or (N,). Raises UserError for a single sample."""
        if len(several[0]) < 2:
            raise UserError("RankFusion: one sample has no rank among others; predict more together, or name another fusion")
        return combined(several, lambda arrays: mean_ranks(arrays, weights))


def mean_logits(arrays: Sequence[np.ndarray], weights: Sequence[float] | None) -> np.ndarray:
    """softmax(sum w log p) of S arrays (N, K), sigmoid(sum w logit p) of (N,); float64. Rows of NaN stay so.

    Raises UserError for values outside [0, 1].
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
    """The mean over S arrays (N, K) or (N,) of rank / N down each column, equal values sharing a rank; rows of NaN have none."""
    from scipy.stats import rankdata  # a second to import

    ranks = [rankdata(array, axis=0, nan_policy="omit") / np.isfinite(array).sum(axis=0) for array in arrays]
    means = np.asarray(np.average(ranks, axis=0, weights=weights))
    return means / means.sum(axis=1, keepdims=True) if means.ndim == 2 else means
