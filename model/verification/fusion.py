"""Fusing vectors of models that were trained apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from base.base_fusion import FUSIONS, BaseFusion
from base.predictions import Predictions, combined
from utils.errors import UserError


@FUSIONS.register("verification")
class ConcatFusion(BaseFusion):
    """Vectors of several models side by side: of unit vectors the cosine is then the weighted mean of the models' own.

    Models that were trained apart have vectors in different spaces, whose mean says nothing.
    """

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Vectors (N, D) of S sources as (N, S * D). Raises UserError for what are no vectors."""
        shares = np.full(len(several), 1.0) if weights is None else np.asarray(weights, np.float64)
        return combined(several, lambda arrays: side_by_side(arrays, shares / shares.sum()))


def side_by_side(arrays: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """S arrays (N, D), each times the root of its share, (N, S * D), so that inner products are weighted means."""
    if arrays[0].ndim != 2:
        raise UserError("ConcatFusion: only vectors can stand side by side; name another fusion")
    return np.concatenate([np.sqrt(share) * array for share, array in zip(shares, arrays, strict=True)], axis=1)
