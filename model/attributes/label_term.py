"""Base classes of the terms of the attribute loss: a term is the loss of one label."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from base.base_loss import mean_term
from base.contracts import DataSpec, OutputSpec, Term
from base.types import NotAllShare, NotNegative, Share
from model.terms import BaseTerm, TermWeight
from utils.errors import UserError
from utils.validate import Settings


class EffectiveNumber(Settings):
    """Class weights by the effective number of samples: one more sample adds less to a large class (Cui et al. 2019)."""

    effective_number: NotAllShare = Field(
        description="beta: 0 weighs all classes alike; towards 1 it becomes the inverse of their frequency"
    )


ClassWeights = Annotated[
    list[NotNegative] | Literal["balanced"] | EffectiveNumber | None,
    Field(
        description='a weight for each class, or "balanced" for the inverse of its frequency, or {"effective_number": beta}; '
        "null weighs all classes alike"
    ),
]
BalancePower = Annotated[
    Share, Field(description='exponent of the "balanced" class weights, between 0 (all classes alike) and 1 (fully balanced)')
]


class LabelTerm(BaseTerm):
    """The loss of one label, whose samples are weighted by their classes."""

    weights: Tensor  # (K,) float32, of each trained class

    def __init__(self, weight: TermWeight = 1.0, class_weights: ClassWeights = None, balance_power: BalancePower = 1.0) -> None:
        super().__init__(weight)
        self.class_weights, self.balance_power = class_weights, balance_power

    @abstractmethod
    def term(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Term:
        """Return the weighted term over a batch.

        logits: (N, K) float. labels: (N,) int64 in 0..K-1. counted: (N,) float in 0..1, the share with which each sample
        counts; samples with a share of 0 have logits and labels of 0, and must not count at all.
        """

    def bind(self, spec: DataSpec, label: str, outputs: OutputSpec = OutputSpec()) -> Self:  # noqa: B008 - never changed
        """Make the class weights of a label. Raises UserError if they do not fit it."""
        for key, message in self.problems(self, spec, label):
            raise UserError(f"loss.args.terms.{label}.args.{key}: {message}")
        self.register_buffer("weights", self._weights(spec, label), persistent=False)
        return self

    def forward(self, values: Tensor, labels: Tensor, shares: Tensor | None = None) -> Term:
        """Return the weighted term over a batch; samples with the label -1 (not known) do not count, whatever their logits are.

        values: logits (N, K) float. labels: (N,) int64. shares: (N,) float in 0..1, the share with which each sample counts;
        all 1 by default. Raises ValueError for other shapes.
        """
        logits = values
        if labels.ndim != 1 or logits.shape != (len(labels), len(self.weights)):
            raise ValueError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}; "
                f"allowed: (N, {len(self.weights)}) and (N,), N samples"
            )
        counted = (labels >= 0).to(logits.dtype)
        if shares is not None:
            counted = counted * shares
        # Set the logits to 0 before the loss: an infinite logit times a weight of 0 after it is NaN, and so is its gradient.
        seen = counted > 0
        return self.term(logits.where(seen[:, None], 0.0), labels.where(seen, 0), counted)

    @classmethod
    def problems(cls, args: Any, spec: DataSpec, label: str) -> Iterator[tuple[str, str]]:
        """Yield class weights that do not fit the label, and a balance power without an effect."""
        given, classes = args.class_weights, spec.trained(label)
        if isinstance(given, list) and classes and len(given) != classes:
            yield "class_weights", f'found {len(given)} weights; allowed: {classes}, one for each trained class of "{label}"'
        elif isinstance(given, list) and not any(given):
            yield "class_weights", "found only zeros, with which nothing is learned; allowed: at least one weight above 0"
        if given != "balanced" and args.balance_power != 1:
            yield "balance_power", f'found {args.balance_power}; it softens "class_weights": "balanced" and does nothing else'

    def _weights(self, spec: DataSpec, label: str) -> Tensor:
        given = self.class_weights
        if given is None or isinstance(given, list):
            return torch.tensor(given or [1.0] * spec.trained(label))
        counts = spec.counts.get(label, [])
        if not any(counts):
            kind = '"balanced"' if given == "balanced" else f"an effective number of {given.effective_number}"
            raise UserError(
                f'loss.args.terms.{label}.args.class_weights: found {kind}; no training sample has the label "{label}"'
            )
        if isinstance(given, EffectiveNumber):
            return effective_weights(counts, given.effective_number)
        return balanced_weights(counts, self.balance_power)


class MeanTerm(LabelTerm):
    """A term that is the mean of a value per sample, weighted by the sample's class: sum(w * value) / sum(w)."""

    @abstractmethod
    def values(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample, (N,) float. logits: (N, K) float. labels: (N,) int64 in 0..K-1."""

    def term(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Term:
        """Return the mean over the known samples."""
        return mean_term(self.values(logits, labels), self.weights[labels] * counted, self.weight)


def balanced_weights(counts: list[int], power: float = 1.0) -> Tensor:
    """Return (n / (K * count)) ** power for each of K classes, (K,) float32: rare classes weigh more; power 0 makes all equal.

    n is the number of samples. With power 1 this is scikit-learn's "balanced" (King and Zeng 2001), if every class has
    samples; a class without samples gets 0.
    """
    count = torch.tensor(counts, dtype=torch.float64)
    weights = (count.sum() / (len(counts) * count.clamp_min(1))) ** power
    return weights.where(count > 0, 0.0).float()


def effective_weights(counts: list[int], beta: float) -> Tensor:
    """Return (1 - beta) / (1 - beta ** count) for each of K classes, scaled, (K,) float32 (Cui et al. 2019, equations 3, 4).

    The weights sum to the number of classes that have samples; a class without samples gets 0. beta: in [0, 1).
    """
    count = torch.tensor(counts, dtype=torch.float64)
    # expm1 keeps the digits of 1 - beta ** count that a beta near 1 would lose.
    numbers = -torch.expm1(count * torch.tensor(beta, dtype=torch.float64).log())  # (1 - beta) cancels out
    weights = numbers.reciprocal().where(count > 0, 0.0)
    return (weights * (count > 0).sum() / weights.sum()).float()
