"""Softmax over the cosines to a learned weight vector for each identity, with a margin for the true identity.

The class weights are the term's own parameters. The formulas are pytorch-metric-learning's.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field
from torch import Tensor

from base.base_loss import mean_term
from base.contracts import DataSpec, OutputSpec, Term
from base.types import Positive
from model.terms import TERMS, TermWeight
from model.verification.embedding_term import EmbeddingTerm

Angle = Annotated[
    float, Field(ge=0, lt=180, description="added to the angle to the true identity, in degrees; 28.6 are the paper's 0.5 rad")
]
CosineScale = Annotated[Positive, Field(description="factor of the cosines, before the softmax")]


class MarginTerm(EmbeddingTerm):
    """The mean over the samples of a loss of pytorch-metric-learning that has class weights."""

    formula: ClassVar[str]  # the name of pytorch-metric-learning's class

    def __init__(self, weight: float, **options: float) -> None:
        super().__init__(weight)
        self.options = options

    def bind(self, spec: DataSpec, label: str, outputs: OutputSpec = OutputSpec()) -> Self:  # noqa: B008 - never changed
        """Make random class weights, (D, K) float32."""
        from pytorch_metric_learning import losses, reducers

        make = getattr(losses, self.formula)
        sizes = {"num_classes": spec.trained(label), "embedding_size": outputs.widths[self.output]}
        self.loss = make(**sizes, **self.options, reducer=reducers.DoNothingReducer())
        return self

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the mean over the samples. values: embeddings (B, D) float32. labels: (B,) int64."""
        return mean_term(self.loss(values, labels)["loss"]["losses"], scale=self.weight)


@TERMS.register("verification")
class ArcFace(MarginTerm):
    """Additive angular margin: the angle to the true identity's weights is widened (Deng et al. 2019, equation 3)."""

    formula = "ArcFaceLoss"

    def __init__(self, weight: TermWeight = 1.0, margin: Angle = 28.6, scale: CosineScale = 64.0) -> None:
        super().__init__(weight, margin=margin, scale=scale)


@TERMS.register("verification")
class SubCenterArcFace(MarginTerm):
    """ArcFace with several weight vectors for each identity, of which only the nearest counts (Deng et al. 2020)."""

    formula = "SubCenterArcFaceLoss"

    def __init__(
        self,
        weight: TermWeight = 1.0,
        margin: Angle = 28.6,
        scale: CosineScale = 64.0,
        sub_centers: Annotated[int, Field(ge=1, le=16, description="weight vectors of an identity")] = 3,
    ) -> None:
        super().__init__(weight, margin=margin, scale=scale, sub_centers=sub_centers)


@TERMS.register("verification")
class CosFace(MarginTerm):
    """Additive margin on the cosine itself: CosFace (Wang, H. et al. 2018), known as AM-softmax too (Wang, F. et al. 2018)."""

    formula = "CosFaceLoss"

    def __init__(
        self,
        weight: TermWeight = 1.0,
        margin: Annotated[float, Field(ge=0, lt=2, description="taken off the cosine of the true identity")] = 0.35,
        scale: CosineScale = 64.0,
    ) -> None:
        super().__init__(weight, margin=margin, scale=scale)


@TERMS.register("verification")
class SphereFace(MarginTerm):
    """Multiplied angular margin: cos(m θ), made monotonic, times the embedding's own length (Liu et al. 2017, equation 7)."""

    formula = "SphereFaceLoss"

    def __init__(
        self,
        weight: TermWeight = 1.0,
        margin: Annotated[int, Field(ge=1, le=8, description="m, the factor of the angle to the true identity")] = 4,
        scale: Annotated[Positive, Field(description="factor of the logits, beside the embedding's length")] = 1.0,
    ) -> None:
        super().__init__(weight, margin=margin, scale=scale)
