"""A term of the embedding loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from base.contracts import Term
from base.registry import Registry
from utils import distributed

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Distance = Literal["cosine", "euclidean"]


class BaseEmbeddingTerm(nn.Module, ABC):
    """One term. `bind` tells it the number of identities and the width of the embedding, before its first use."""

    output: ClassVar[str] = "embedding"  # the model's output that it reads

    def __init__(self, weight: NotNegative = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def bind(self, classes: int, width: int) -> BaseEmbeddingTerm:
        """Make what depends on the data, such as class weights; nothing by default."""
        return self

    @abstractmethod
    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """The weighted term over a batch. values: (B, D) float32, an output of the model. labels: (B,) int64 in 0..K-1."""

    @classmethod
    def problems(cls, args: Any) -> Iterator[tuple[str, str]]:
        """(argument, message) pairs; args has this class's arguments as attributes."""
        yield from ()


class PairTerm(BaseEmbeddingTerm):
    """A term that compares the samples of a batch with each other: all of the global batch, on every process.

    A batch that passes through the network in pieces (`trainer.accumulate`) is compared piece by piece. As a term, the
    value of a batch counts with its number of samples.
    """

    @abstractmethod
    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """(), 0 where the batch has nothing to compare. embeddings: (N, D) and labels: (N,) of all processes."""

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """The term; every process computes the same value, and counts it with its own samples."""
        value = self.value(distributed.differentiable_gather(values), distributed.differentiable_gather(labels))
        count = values.new_tensor(len(values))
        return Term(self.weight * value * count, count)


EMBEDDING_TERMS: Registry[BaseEmbeddingTerm] = Registry("embedding term", BaseEmbeddingTerm)


def distance_of(name: Distance) -> Any:
    """pytorch-metric-learning's distance: the cosine similarity, or the Euclidean distance of embeddings as they are."""
    from pytorch_metric_learning.distances import CosineSimilarity, LpDistance

    return CosineSimilarity() if name == "cosine" else LpDistance(normalize_embeddings=False, p=2, power=1)
