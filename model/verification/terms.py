"""Terms that compare the samples of a batch with each other, with a centre, or with the answer of an identity head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from base.base_loss import mean_term
from base.contracts import DataSpec, OutputSpec, Term
from base.types import NotNegative, Positive, Share
from base.verification.pairs import IDENTITY, Distance
from model.terms import TERMS, Smoothing, TermWeight, cross_entropy
from model.verification.embedding_term import EmbeddingTerm, PairTerm, distance_of


@TERMS.register("verification")
class Triplet(PairTerm):
    """Triplet loss: an anchor is nearer to its own identity than to another by a margin (Schroff et al. 2015); a miner chooses.

    `batch_hard` takes, for each anchor, the furthest sample of its own identity and the nearest sample of another (Hermans et
    al. 2017, equation 5), and averages over all anchors; the other miners choose the triplets of the batch that violate the
    margin, and average over the triplets whose loss is not 0.
    """

    def __init__(
        self,
        weight: TermWeight = 1.0,
        margin: Annotated[
            NotNegative | None,
            Field(
                description="in units of the distance; null for the soft margin, softplus of the difference (Hermans et al. 2017)"
            ),
        ] = 0.3,
        miner: Annotated[
            Literal["batch_hard", "all", "hard", "semihard"],
            Field(
                description="the triplets that count: batch_hard; or all, hard (other nearer than own) or semihard (other "
                "further than own, but not by the margin)"
            ),
        ] = "batch_hard",
        distance: Distance = "euclidean",
    ) -> None:
        super().__init__(weight)
        from pytorch_metric_learning import losses, miners, reducers

        soft, hardest = margin is None, miner == "batch_hard"
        self.miner = (
            miners.BatchHardMiner(distance=distance_of(distance))
            if hardest
            else miners.TripletMarginMiner(margin or 0.0, type_of_triplets=miner, distance=distance_of(distance))
        )
        self.loss = losses.TripletMarginLoss(
            margin=margin or 0.0,
            smooth_loss=soft,
            distance=distance_of(distance),
            reducer=reducers.MeanReducer() if hardest else reducers.AvgNonZeroReducer(),
        )

    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the triplets, (). embeddings: (N, D) float32. labels: (N,) int64."""
        value: Tensor = self.loss(embeddings, labels, self.miner(embeddings, labels))
        return value

    @classmethod
    def problems(cls, args: Any, spec: DataSpec, label: str) -> Iterator[tuple[str, str]]:
        """Yield (argument, message) for the miner "semihard" without a margin."""
        if args.margin is None and args.miner == "semihard":
            yield "miner", 'found "semihard" with a soft margin, between whose ends no triplet lies; give a margin'


@TERMS.register("verification")
class Contrastive(PairTerm):
    """Pull pairs of one identity together, push other pairs apart up to a margin (Hadsell et al. 2006), without the square."""

    def __init__(
        self,
        weight: TermWeight = 1.0,
        own: Annotated[
            float,
            Field(
                description="distance below which (for the cosine: similarity above which) a pair of one identity costs nothing"
            ),
        ] = 0.0,
        other: Annotated[
            float,
            Field(
                description="distance above which (for the cosine: similarity below which) a pair of two identities costs nothing"
            ),
        ] = 1.0,
        distance: Distance = "euclidean",
    ) -> None:
        super().__init__(weight)
        from pytorch_metric_learning.losses import ContrastiveLoss

        self.loss = ContrastiveLoss(pos_margin=own, neg_margin=other, distance=distance_of(distance))

    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the means of both kinds of pairs, over the pairs whose loss is not 0, ().

        embeddings: (N, D) float32. labels: (N,) int64.
        """
        value: Tensor = self.loss(embeddings, labels)
        return value

    @classmethod
    def problems(cls, args: Any, spec: DataSpec, label: str) -> Iterator[tuple[str, str]]:
        """Yield (argument, message) for margins in the wrong order: they would leave all pairs alone, or none."""
        if (args.own >= args.other) != (args.distance == "cosine"):
            order = "above" if args.distance == "cosine" else "below"
            yield "own", f"found {args.own}; allowed for the {args.distance} distance: {order} the other margin, {args.other}"


@TERMS.register("verification")
class Circle(PairTerm):
    """Cosines weighted by how far each is from its optimum (Sun et al. 2020, equation 6)."""

    def __init__(
        self,
        weight: TermWeight = 1.0,
        margin: Annotated[Share, Field(description="m of the paper")] = 0.25,
        scale: Annotated[Positive, Field(description="gamma of the paper; for faces it has 256 with a margin of 0.25")] = 256.0,
    ) -> None:
        super().__init__(weight)
        from pytorch_metric_learning.losses import CircleLoss

        self.loss = CircleLoss(m=margin, gamma=scale)

    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the anchors that have both kinds of pairs, (). embeddings: (N, D) float32. labels: (N,) int64."""
        value: Tensor = self.loss(embeddings, labels)
        return value


@TERMS.register("verification")
class MultiSimilarity(PairTerm):
    """Cosines of pairs of one identity and of two, mined and softly weighted (Wang, X. et al. 2019, equation 15)."""

    def __init__(
        self,
        weight: TermWeight = 1.0,
        alpha: Annotated[Positive, Field(description="sharpness for pairs of one identity")] = 2.0,
        beta: Annotated[Positive, Field(description="sharpness for pairs of two identities")] = 50.0,
        base: Annotated[float, Field(ge=-1, le=1, description="the cosine at which both kinds of pairs are balanced")] = 0.5,
        epsilon: Annotated[
            NotNegative,
            Field(description="a pair counts if its cosine is within this distance of the hardest pair of the other kind"),
        ] = 0.1,
    ) -> None:
        super().__init__(weight)
        from pytorch_metric_learning.losses import MultiSimilarityLoss
        from pytorch_metric_learning.miners import MultiSimilarityMiner

        self.miner, self.loss = MultiSimilarityMiner(epsilon), MultiSimilarityLoss(alpha, beta, base)

    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the anchors, (). embeddings: (N, D) float32. labels: (N,) int64."""
        value: Tensor = self.loss(embeddings, labels, self.miner(embeddings, labels))
        return value


@TERMS.register("verification")
class SupervisedContrastive(PairTerm):
    """Log-softmax of cosines over the batch, averaged over samples of the same identity (Khosla et al. 2020, equation 2).

    Two augmented views of a person's only picture are a pair of one identity too: if a sampler repeats the picture, the term is
    the instance discrimination of Chen et al. 2020 for people with one picture.
    """

    def __init__(
        self,
        weight: TermWeight = 1.0,
        temperature: Annotated[Positive, Field(description="the cosines are divided by it")] = 0.1,
    ) -> None:
        super().__init__(weight)
        from pytorch_metric_learning.losses import SupConLoss

        self.loss = SupConLoss(temperature)

    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the anchors that have another sample of their identity, ().

        embeddings: (N, D) float32. labels: (N,) int64.
        """
        value: Tensor = self.loss(embeddings, labels)
        return value


@TERMS.register("verification")
class Center(EmbeddingTerm):
    """Mean over the samples of the squared distance to the identity's centre (Wen et al. 2016, equation 2).

    The paper halves the distance, and moves the centres by a rule of its own; here the centres are parameters like others, with
    the learning rate of the head.
    """

    centers: nn.Parameter  # (K, D)

    def bind(self, spec: DataSpec, label: str, outputs: OutputSpec = OutputSpec()) -> Self:  # noqa: B008 - never changed
        """Make random centres from a normal distribution, (K, D) float32."""
        self.centers = nn.Parameter(torch.randn(spec.trained(label), outputs.widths[self.output]))
        return self

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the mean over the samples. values: embeddings (B, D) float32. labels: (B,) int64."""
        return mean_term((values - self.centers[labels]).square().sum(1), scale=self.weight)


@TERMS.register("verification")
class IdentityCrossEntropy(EmbeddingTerm):
    """Softmax cross-entropy of the model's identity head."""

    output = IDENTITY

    def __init__(self, weight: TermWeight = 1.0, label_smoothing: Smoothing = 0.0) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the mean over the samples. values: logits (B, K) float32. labels: (B,) int64."""
        return mean_term(cross_entropy(values, labels, self.label_smoothing), scale=self.weight)
