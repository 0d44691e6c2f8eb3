"""Fusion of the vectors of models that were trained separately."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from base.base_fusion import FUSIONS, BaseFusion
from base.predictions import Predictions, combined
from utils.errors import UserError


@FUSIONS.register("verification")
class ConcatFusion(BaseFusion):
    """Vectors of several models side by side: the cosine of unit vectors is then the weighted mean of the models' cosines.

    Use it for models that were trained separately: their vectors lie in different spaces, so a mean of the vectors is useless.
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return the vectors (N, D) of S sources as (N, S * D). Raises UserError if the predictions are not vectors."""
        shares = np.full(len(several), 1.0) if weights is None else np.asarray(weights, np.float64)
        return combined(several, lambda arrays: side_by_side(arrays, shares / shares.sum()))


def side_by_side(arrays: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Return S arrays (N, D) side by side as (N, S * D), each times the root of its share.

    Inner products of the result are the weighted means of the inner products. Raises UserError for arrays that are not (N, D).
    """
    if arrays[0].ndim != 2:
        raise UserError("ConcatFusion: only vectors can stand side by side; name another fusion")
    return np.concatenate([np.sqrt(share) * array for share, array in zip(shares, arrays, strict=True)], axis=1)
