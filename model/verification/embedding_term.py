"""Base classes of the terms of the verification loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from base.contracts import Term
from base.verification.pairs import Distance
from model.terms import BaseTerm
from utils import distributed


class EmbeddingTerm(BaseTerm):
    """A term that compares an output of the model with the identities."""

    output: ClassVar[str] = "embedding"  # the model's output that the term reads


class PairTerm(EmbeddingTerm):
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


def distance_of(name: Distance) -> Any:
    """Return pytorch-metric-learning's distance: cosine similarity, or Euclidean distance of embeddings as they are."""
    from pytorch_metric_learning.distances import CosineSimilarity, LpDistance

    return CosineSimilarity() if name == "cosine" else LpDistance(normalize_embeddings=False, p=2, power=1)
