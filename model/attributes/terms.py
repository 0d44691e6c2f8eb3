"""Loss terms of one label: pure functions on logits and labels, and the classes that a config names.

N samples, K classes. Functions take logits (N, K) float and labels (N,) int64 in 0..K-1.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from base.contracts import Term
from base.types import NotNegative
from model.attributes.label_term import BalancePower, ClassWeights, LabelTerm, MeanTerm
from model.terms import TERMS, Smoothing, TermWeight, cross_entropy
from utils import distributed


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0, label_smoothing: float = 0.0) -> Tensor:
    """Return -(1 - p)^gamma log p of each sample, (N,); p is the softmax at the label (Lin et al. 2017, equation 4).

    The paper has no label smoothing. Here it is the one of cross-entropy, sum_k q_k times the value at class k, so that gamma
    0 gives `cross_entropy`.
    """
    log_p = F.log_softmax(logits, dim=1)
    # Rounding makes 1 - p exactly 0 for a sure sample; a gamma below 1 has an infinite slope at 0.
    rest = (-torch.expm1(log_p)).clamp_min(torch.finfo(logits.dtype).eps)
    value = -(rest**gamma) * log_p  # (N, K)
    return (1 - label_smoothing) * value.gather(1, labels[:, None])[:, 0] + label_smoothing * value.mean(1)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the classes of the binary cross-entropy of each class against the rest, (N,)."""
    return F.binary_cross_entropy_with_logits(logits, one_hot(labels, logits), reduction="none").mean(1)


def soft_counts(logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Return true positives, predictions and labels of each class, (3, K); a prediction is its softmax, not 0 or 1.

    counted: (N,) bool, or float in 0..1, the share with which each sample counts.
    """
    predicted, actual = logits.softmax(1), one_hot(labels, logits) * counted[:, None]
    return torch.stack([(predicted * actual).sum(0), (predicted * counted[:, None]).sum(0), actual.sum(0)])


def soft_f1_loss(counts: Tensor, weights: Tensor) -> Tensor:
    """Return 1 - the weighted mean over the classes of 2 tp / (2 tp + fp + fn), a scalar (): the macro F1 of soft counts.

    counts: (3, K) of `soft_counts`; its predictions are tp + fp and its labels are tp + fn. weights: (K,). Classes without a
    label in the batch are left out: their F1 is 0 for any prediction, and has no gradient.
    """
    tiny = torch.finfo(counts.dtype).tiny
    true_positive, predicted, actual = counts
    f1 = 2 * true_positive / (predicted + actual).clamp_min(tiny)
    weights = weights.where(actual > 0, 0.0)
    macro: Tensor = (weights * f1).sum() / weights.sum().clamp_min(tiny)
    return torch.ones_like(macro) - macro


def one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Return 1 at the label and 0 elsewhere, (N, K) in the dtype of the logits."""
    hot: Tensor = F.one_hot(labels, logits.shape[1])
    return hot.to(logits.dtype)


@TERMS.register("attributes", "pretext")
class CrossEntropy(MeanTerm):
    """Softmax cross-entropy, with or without label smoothing.

    A smoothed sample has the class weight of its label; torch's own loss uses the weight of each class in the smoothed target.
    """

    def __init__(
        self,
        weight: TermWeight = 1.0,
        label_smoothing: Smoothing = 0.0,
        class_weights: ClassWeights = None,
        balance_power: BalancePower = 1.0,
    ) -> None:
        super().__init__(weight, class_weights, balance_power)
        self.label_smoothing = label_smoothing

    def values(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return `cross_entropy` of each sample, (N,). logits: (N, K) float. labels: (N,) int64."""
        return cross_entropy(logits, labels, self.label_smoothing)


@TERMS.register("attributes", "pretext")
class Focal(MeanTerm):
    """Focal loss: cross-entropy in which samples that are right already count less."""

    def __init__(
        self,
        weight: TermWeight = 1.0,
        gamma: Annotated[NotNegative, Field(description="how much less a sample that is right counts; 0 is cross-entropy")] = 2.0,
        label_smoothing: Smoothing = 0.0,
        class_weights: ClassWeights = None,
        balance_power: BalancePower = 1.0,
    ) -> None:
        super().__init__(weight, class_weights, balance_power)
        self.gamma, self.label_smoothing = gamma, label_smoothing

    def values(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return `focal` of each sample, (N,). logits: (N, K) float. labels: (N,) int64."""
        return focal(logits, labels, self.gamma, self.label_smoothing)


@TERMS.register("attributes", "pretext")
class BinaryCrossEntropy(MeanTerm):
    """Binary cross-entropy of each class against the rest, with its own sigmoid.

    A sample counts with the weight of its class. The decoder's softmax ranks the classes as the sigmoids do, but its
    probabilities differ from the sigmoids.
    """

    def values(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return `binary_cross_entropy` of each sample, (N,). logits: (N, K) float. labels: (N,) int64."""
        return binary_cross_entropy(logits, labels)


@TERMS.register("attributes", "pretext")
class F1(LabelTerm):
    """1 - the macro F1 of a batch, with probabilities in place of counts.

    The value belongs to a batch, not to a sample: over several batches it is the mean of the batches' values, weighted by
    their known samples. With gradient accumulation it is the F1 of each piece. Several processes count together, like one.
    The class weights are the weights of the classes in the mean.
    """

    def term(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Term:
        """Return the loss of the global batch, weighted by the number of known samples of this process."""
        counts = distributed.differentiable_sum(soft_counts(logits, labels, counted))
        samples = counted.sum()
        return Term(self.weight * soft_f1_loss(counts, self.weights) * samples, samples)
