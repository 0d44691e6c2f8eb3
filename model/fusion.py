"""Fusing predictions of equal shapes."""

from __future__ import annotations

from collections.abc import Sequence

from base.base_fusion import FUSIONS, BaseFusion
from base.predictions import Predictions, average


@FUSIONS.register()
class MeanFusion(BaseFusion):
    """The weighted mean of every column: of probabilities, or of embeddings."""

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """The means. Raises UserError for predictions of varying length, such as boxes."""
        return average(several, weights)
