"""Find the best epoch, and decide when to stop early."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from utils.config import did_you_mean
from utils.errors import UserError


class Monitor:
    """The watch over one score: `"min val/loss"` or `"max val/f1"`; with `"off"` every epoch is the best so far."""

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
        """Return whether this epoch is the best so far; False if the score is not finite or was not computed."""
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
        """Forget the best score and the validations without a better one."""
        self.best, self.best_epoch, self.waited = None, None, 0

    @property
    def exhausted(self) -> bool:
        """True if `patience` validations have passed without a better score."""
        return self.patience is not None and self.waited >= self.patience

    def _better(self, value: float, best: float) -> bool:
        return value < best if self.mode == "min" else value > best

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]


def unknown_score(name: str, known: Iterable[str]) -> str:
    """Return the error message for a score that the config does not compute."""
    known = sorted(known)
    return f'no score is called "{name}"{did_you_mean(name, known)}; this config computes: {", ".join(known)}'
