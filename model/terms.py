"""The abstract loss term of all tasks, its registry, and the cross-entropy that several terms use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self, TypeVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from base.contracts import DataSpec, OutputSpec, Term
from base.registry import Registry
from base.types import NotAllShare, NotNegative
from utils.errors import UserError

Given = TypeVar("Given")

TermWeight = Annotated[NotNegative, Field(description="factor of this term in the sum of all terms")]
Smoothing = Annotated[NotAllShare, Field(description="share of the target that is spread over all classes")]


class BaseTerm(nn.Module, ABC):
    """One weighted term of a loss. Call `bind` before the first use: it sets the label and what depends on the data."""

    def __init__(self, weight: TermWeight = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def bind(self, spec: DataSpec, label: str, outputs: OutputSpec = OutputSpec()) -> Self:  # noqa: B008 - never changed
        """Make what depends on the data and the model's outputs, such as class weights; nothing by default.

        Raises UserError if the arguments do not fit the label.
        """
        return self

    @abstractmethod
    def forward(self, values: Tensor, labels: Tensor) -> Term:
        """Return the weighted term over a batch. values: (B, D) float32, an output of the model. labels: (B,) int64."""

    @classmethod
    def problems(cls, args: Any, spec: DataSpec, label: str) -> Iterator[tuple[str, str]]:
        """Yield a pair (argument, message) for each wrong argument; args has this class's arguments as attributes."""
        yield from ()


TERMS: Registry[BaseTerm] = Registry("loss term", BaseTerm)


def kept(terms: Mapping[str, Given | None]) -> dict[str, Given]:
    """Return the terms that are not null: null takes away a term that an extended config has."""
    return {name: term for name, term in terms.items() if term is not None}


def argument_problems(terms: Mapping[str, Any], spec: DataSpec, label: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (key below the loss's `args`, message) pairs of every term.

    terms: name -> part of a config. label: that all of them are about; None if each is about the label of its name.
    """
    for name, part in terms.items():
        for key, message in part.cls.problems(part.args, spec, label or name):
            yield f"terms.{name}.args.{key}", message


def refuse(problems: Iterable[tuple[str, str]]) -> None:
    """Raise UserError with all (key below the loss's `args`, message) pairs, if there are any."""
    lines = [f"loss.args.{key}: {message}" for key, message in problems]
    if lines:
        raise UserError("; ".join(lines))


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return -sum_k q_k log p_k of each sample, (N,); q is 1 - e + e / K at the label and e / K at every other class.

    logits: (N, K) float. labels: (N,) int64 in 0..K-1. e is label_smoothing (Szegedy et al. 2016, section 7).
    """
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
