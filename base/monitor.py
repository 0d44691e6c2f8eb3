"""Which epoch was the best, and whether it is time to stop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from utils.config import did_you_mean
from utils.errors import UserError


class Monitor:
    """Watches one score, as `"min val/loss"` or `"max val/f1"`; `"off"` watches none and every epoch is the best so far."""

    def __init__(self, text: str, patience: int | None = None) -> None:
        self.mode, _, self.name = text.partition(" ")
        self.patience = patience
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.waited = 0

    def require(self, names: Iterable[str]) -> None:
        """Raise UserError unless the watched score is one of `names`."""
        known = sorted(names)
        if self.mode != "off" and self.name not in known:
            raise UserError(f"trainer.monitor: {unknown_score(self.name, known)}")

    def update(self, scores: Mapping[str, float], epoch: int) -> bool:
        """Whether this epoch is the best so far. A score that is not finite, or was not computed, never is."""
        if self.mode == "off":
            self.best_epoch = epoch
            return True
        if self.name not in scores:
            return False
        value = scores[self.name]
        if math.isfinite(value) and (self.best is None or self._better(value, self.best)):
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    def forget(self) -> None:
        """Begin anew: no score was seen yet."""
        self.best, self.best_epoch, self.waited = None, None, 0

    @property
    def exhausted(self) -> bool:
        """Whether `patience` validations have passed without a better one."""
        return self.patience is not None and self.waited >= self.patience

    def _better(self, value: float, best: float) -> bool:
        return value < best if self.mode == "min" else value > best

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave."""
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]


def unknown_score(name: str, known: Iterable[str]) -> str:
    """The message for a score that nothing computes."""
    known = sorted(known)
    return f'no score is called "{name}"{did_you_mean(name, known)}; this config computes: {", ".join(known)}'
