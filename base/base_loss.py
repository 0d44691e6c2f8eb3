"""The base class of losses: named terms, each an exact mean over the global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from base.contracts import Outputs, Target, Term
from base.registry import Checked, Registry
from utils import distributed


class BaseLoss(nn.Module, Checked, ABC):
    """A loss that compares outputs with targets. Its own parameters (margin centres) are optimised and saved too.

    Subclasses define `terms`. A term is a sum and the weight by which the sum is divided, not a mean. Therefore validation
    computes the exact mean over any batches, and several processes minimise the same value as one process.
    """

    takes_shares: ClassVar[bool] = False  # whether `terms` uses `share` and `partner` of a target (base/contracts.py)

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return the weighted terms by name; training minimises the sum of `total / weight` over the terms.

        outputs: tensors of B rows, float32. target: the target of the task's loader. In evaluation each process has batches of
        its own: use statistics over all processes (`differentiable_sum`) in training only.
        """

    def forward(self, outputs: Outputs, target: Target) -> dict[str, Tensor]:
        """Return name -> scalar () float over the global batch; training minimises their sum.

        With several processes the values are scaled: DistributedDataParallel averages the gradients over the processes, and
        with the scale this average is the gradient of the mean over the whole global batch.
        """
        terms = self.terms(outputs, target)
        weights = distributed.sum_over_ranks(torch.stack([term.weight.float() for term in terms.values()]))
        # A term without a contributing sample in the global batch is 0 and has a gradient of 0.
        share = torch.where(weights > 0, distributed.world_size() / weights.clamp_min(1e-20), 0.0)
        return {name: term.total * share[index] for index, (name, term) in enumerate(terms.items())}


def mean_term(values: Tensor, weights: Tensor | None = None, scale: float = 1.0) -> Term:
    """Return the term `scale * sum(weights * values) / sum(weights)`.

    values: (N,) float. weights: (N,) float, all 1 by default; a sample of weight 0 does not count, even if its value is NaN.
    """
    if weights is None:
        return Term(scale * values.sum(), torch.full_like(values, 1.0, requires_grad=False).sum())
    weighted = torch.where(weights > 0, values * weights, torch.zeros_like(values))
    return Term(scale * weighted.sum(), weights.sum())


LOSSES: Registry[BaseLoss] = Registry("loss", BaseLoss)
