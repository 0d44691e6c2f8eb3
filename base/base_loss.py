"""A training objective: named terms, each an exact mean over the global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from base.contracts import Outputs, Target, Term
from base.registry import Checked, Registry
from utils import distributed


class BaseLoss(nn.Module, Checked, ABC):
    """Compares outputs with targets. It may own parameters (margin centres): they are optimised and saved too.

    Subclasses define `terms`. Each term is a sum and the weight it is divided by, not a mean, so that validation totals it
    exactly over any batches, and several processes minimise what one process would.
    """

    takes_shares: ClassVar[bool] = False  # whether `terms` heeds `share` and `partner` in a target (base/contracts.py)

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Named, weighted terms; the sum of `total / weight` over the terms is what training minimises.

        outputs: float32. target: as the loader of the task gives it. In evaluation each process has batches of its own, so
        statistics over all processes (`differentiable_sum`) are for training alone.
        """

    def forward(self, outputs: Outputs, target: Target) -> dict[str, Tensor]:
        """Named scalars () over the global batch; their sum is minimised.

        With several processes the value is scaled so that the average over processes, which is what
        DistributedDataParallel takes of the gradients, equals the mean over the whole global batch.
        """
        terms = self.terms(outputs, target)
        weights = distributed.sum_over_ranks(torch.stack([term.weight.float() for term in terms.values()]))
        # A term to which no sample of the global batch contributes is 0, with a gradient of 0.
        share = torch.where(weights > 0, distributed.world_size() / weights.clamp_min(1e-20), 0.0)
        return {name: term.total * share[index] for index, (name, term) in enumerate(terms.items())}


def mean_term(values: Tensor, weights: Tensor | None = None, scale: float = 1.0) -> Term:
    """The term `scale * sum(weights * values) / sum(weights)`.

    values: (N,). weights: (N,), default all 1; a sample of weight 0 does not count, whatever its value.
    """
    if weights is None:
        return Term(scale * values.sum(), torch.full_like(values, 1.0, requires_grad=False).sum())
    weighted = torch.where(weights > 0, values * weights, torch.zeros_like(values))
    return Term(scale * weighted.sum(), weights.sum())


LOSSES: Registry[BaseLoss] = Registry("loss", BaseLoss)
