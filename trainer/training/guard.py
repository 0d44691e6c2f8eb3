"""Detection of losses and gradients that are not finite, if possible without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor

from utils import distributed
from utils.errors import RunError


class FiniteGuard:
    """Checks the loss and the gradient's norm of every step.

    On the CPU, and wherever steps may be skipped, the answer is there before the optimiser moves. On a GPU with
    `stop` the device remembers the first bad step, and `first_bad` asks for it when values are read anyway; the
    checkpoint before it is whole, since nothing is saved without asking.
    """

    def __init__(self, policy: str, max_skips: int, device: torch.device) -> None:
        self.skips = policy == "skip"
        self.max_skips = max_skips
        self.at_once = self.skips or device.type == "cpu"
        self.in_a_row = 0
        self.made = 0  # steps that were not skipped
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)

    def passes(self, loss: Tensor, norm: Tensor, step: int) -> bool:
        """Return whether the optimiser may make its step. Waits for the device only if the answer is needed at once."""
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        if self.at_once:
            fine = not distributed.any_rank(not bool(finite))
            self.in_a_row = 0 if fine else self.in_a_row + 1
            self.made += fine
            return fine
        self.made += 1
        self._first_bad = torch.where((self._first_bad < 0) & ~finite, step, self._first_bad)
        return True

    def first_bad(self) -> int | None:
        """Return the first step that was not finite, None if there was none. Waits for the device."""
        step = int(self._first_bad.item()) if not self.at_once else -1
        return step if step >= 0 else None

    def state_dict(self) -> dict[str, int]:
        """Return the numbers of steps that were skipped in a row, and that were made."""
        return {"in_a_row": self.in_a_row, "made": self.made}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the result of `state_dict`."""
        self.in_a_row, self.made = state["in_a_row"], state["made"]

    def may_skip(self) -> bool:
        """Return whether the current bad step may be skipped."""
        return self.skips and self.in_a_row <= self.max_skips


class NotFinite(RunError):
    """Raised for a loss or gradient that is not finite, if the config does not allow to skip the step."""
