"""Softmax over the cosines to a learned weight vector for each identity, with a margin for the true identity.

The class weights are the term's own parameters. The formulas are pytorch-metric-learning's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from base.base_loss import mean_term
from base.contracts import Term
from model.verification.base_term import EMBEDDING_TERMS, BaseEmbeddingTerm, NotNegative, Positive

Degrees = Annotated[float, Field(ge=0, lt=180)]


class MarginTerm(BaseEmbeddingTerm):
    """The mean over the samples of a loss of pytorch-metric-learning that has class weights."""

    @abstractmethod
    def make(self, classes: int, width: int, **options: Any) -> Any:
        """Return pytorch-metric-learning's loss for `classes` identities; pass `options` on to it."""

    def bind(self, classes: int, width: int) -> BaseEmbeddingTerm:
        """Make random class weights, (D, K) float32."""
        from pytorch_metric_learning.reducers import DoNothingReducer

        self.loss = self.make(classes, width, reducer=DoNothingReducer())
        return self

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the mean over the samples. values: embeddings (B, D) float32. labels: (B,) int64."""
        return mean_term(self.loss(values, labels)["loss"]["losses"], scale=self.weight)


@EMBEDDING_TERMS.register("verification")
class ArcFace(MarginTerm):
    """Additive angular margin: the angle to the true identity's weights is widened (Deng et al. 2019, equation 3).

    Args:
        weight: of this term in the sum of all
        margin: in degrees; the paper's 0.5 rad are 28.6 degrees
        scale: of the cosines, before the softmax
    """

    def __init__(self, weight: NotNegative = 1.0, margin: Degrees = 28.6, scale: Positive = 64.0) -> None:
        super().__init__(weight)
        self.margin, self.scale = margin, scale

    def make(self, classes: int, width: int, **options: Any) -> Any:
        """Return ArcFaceLoss."""
        from pytorch_metric_learning.losses import ArcFaceLoss

        return ArcFaceLoss(classes, width, margin=self.margin, scale=self.scale, **options)


@EMBEDDING_TERMS.register("verification")
class SubCenterArcFace(MarginTerm):
    """ArcFace with several weight vectors for each identity; only the nearest counts (Deng et al. 2020).

    Args:
        weight: of this term in the sum of all
        margin: in degrees
        scale: of the cosines, before the softmax
        sub_centers: weight vectors of an identity
    """

    def __init__(
        self,
        weight: NotNegative = 1.0,
        margin: Degrees = 28.6,
        scale: Positive = 64.0,
        sub_centers: Annotated[int, Field(ge=1, le=16)] = 3,
    ) -> None:
        super().__init__(weight)
        self.margin, self.scale, self.sub_centers = margin, scale, sub_centers

    def make(self, classes: int, width: int, **options: Any) -> Any:
        """Return SubCenterArcFaceLoss."""
        from pytorch_metric_learning.losses import SubCenterArcFaceLoss

        return SubCenterArcFaceLoss(
            num_classes=classes,
            embedding_size=width,
            margin=self.margin,
            scale=self.scale,
            sub_centers=self.sub_centers,
            **options,
        )


@EMBEDDING_TERMS.register("verification")
class CosFace(MarginTerm):
    """Additive margin on the cosine itself: CosFace (Wang, H. et al. 2018), known as AM-softmax too (Wang, F. et al. 2018).

    Args:
        weight: of this term in the sum of all
        margin: taken off the cosine of the true identity
        scale: of the cosines, before the softmax
    """

    def __init__(
        self, weight: NotNegative = 1.0, margin: Annotated[float, Field(ge=0, lt=2)] = 0.35, scale: Positive = 64.0
    ) -> None:
        super().__init__(weight)
        self.margin, self.scale = margin, scale

    def make(self, classes: int, width: int, **options: Any) -> Any:
        """Return CosFaceLoss."""
        from pytorch_metric_learning.losses import CosFaceLoss

        return CosFaceLoss(classes, width, margin=self.margin, scale=self.scale, **options)


@EMBEDDING_TERMS.register("verification")
class SphereFace(MarginTerm):
    """Multiplied angular margin: cos(m θ), made monotonic, times the embedding's own length (Liu et al. 2017, equation 7).

    Args:
        weight: of this term in the sum of all
        margin: m, the factor of the angle
        scale: of the logits, beside the embedding's length
    """

    def __init__(self, weight: NotNegative = 1.0, margin: Annotated[int, Field(ge=1, le=8)] = 4, scale: Positive = 1.0) -> None:
        super().__init__(weight)
        self.margin, self.scale = margin, scale

    def make(self, classes: int, width: int, **options: Any) -> Any:
        """Return SphereFaceLoss."""
        from pytorch_metric_learning.losses import SphereFaceLoss

        return SphereFaceLoss(classes, width, margin=self.margin, scale=self.scale, **options)
