"""Base classes of the terms of the verification loss."""

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
    """One term of the loss. Call `bind` before the first use: it sets the number of identities and the width of the embedding."""

    output: ClassVar[str] = "embedding"  # the model's output that the term reads

    def __init__(self, weight: NotNegative = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def bind(self, classes: int, width: int) -> BaseEmbeddingTerm:
        """Make the parts that depend on the data, such as class weights; by default there are none."""
        return self

    @abstractmethod
    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the weighted term over a batch. values: (B, D) float32, an output of the model. labels: (B,) int64 in 0..K-1."""

    @classmethod
    def problems(cls, args: Any) -> Iterator[tuple[str, str]]:
        """Yield a pair (argument, message) for each wrong argument; args has this class's arguments as attributes."""
        yield from ()


class PairTerm(BaseEmbeddingTerm):
    """A term that compares the samples of a batch with each other: all samples of the global batch, on every process.

    A batch that passes through the network in pieces (`trainer.accumulate`) is compared piece by piece. The value of a batch
    is weighted with its number of samples.
    """

    @abstractmethod
    def value(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the value of the global batch, a scalar (); 0 if the batch has no samples to compare.

        embeddings: (N, D) float32, labels: (N,) int64, of all processes.
        """

    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the weighted term; every process computes the same value, and weights it with its own number of samples.

        values: (B, D) float32. labels: (B,) int64.
        """
        value = self.value(distributed.differentiable_gather(values), distributed.differentiable_gather(labels))
        count = values.new_tensor(len(values))
        return Term(self.weight * value * count, count)


EMBEDDING_TERMS: Registry[BaseEmbeddingTerm] = Registry("embedding term", BaseEmbeddingTerm)


def distance_of(name: Distance) -> Any:
    """Return pytorch-metric-learning's distance: cosine similarity, or Euclidean distance of embeddings as they are."""
    from pytorch_metric_learning.distances import CosineSimilarity, LpDistance

    return CosineSimilarity() if name == "cosine" else LpDistance(normalize_embeddings=False, p=2, power=1)
