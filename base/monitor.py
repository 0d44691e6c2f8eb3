"""Find the best epoch, and decide when to stop early."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from utils.config import did_you_mean
from utils.errors import UserError

_STATE = ("best", "best_epoch", "waited", "seen", "values", "latest", "first_epoch")


class Monitor:
    """The watch over one score: `"min val/loss"` or `"max val/f1"`; with `"off"` every epoch is the best so far."""

    def __init__(self, text: str, patience: int | None = None) -> None:
        self.mode, _, self.name = text.partition(" ")
        self.patience = patience
        self.forget()

    def forget(self) -> None:
        """Forget the best score, and all validations."""
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.waited = 0
        self.seen = 0  # validations
        self.values = 0  # different values, of which 2 stands for more
        self.latest: float | None = None
        self.first_epoch: int | None = None

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
        self.values = min(self.values + (value != self.latest), 2)  # NaN differs from every value
        self.seen, self.latest = self.seen + 1, value
        self.first_epoch = epoch if self.first_epoch is None else self.first_epoch
        if math.isfinite(value) and (self.best is None or self._better(value, self.best)):
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """True if `patience` validations have passed without a better score."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def fruitless(self) -> bool:
        """True if epochs were validated, and none of them is the best because no score was a number."""
        return self.seen > 0 and self.best is None

    def doubts(self) -> list[str]:
        """Return a line for each reason to doubt that training has improved the score; none if no score is watched."""
        if self.fruitless:
            return [f"no epoch has a {self.name} that is a number, so that there is no best checkpoint; lower optimizer.args.lr"]
        if self.seen < 2 or self.best_epoch is None:
            return []
        if self.values == 1:
            return [f"{self.name} was {self.best:.4f} in all {self.seen} validations: it does not tell the epochs apart"]
        if self.best_epoch == self.first_epoch:
            return [f"{self.name} was best after the first validated epoch: the {self.seen - 1} later ones made nothing better"]
        return []

    def _better(self, value: float, best: float) -> bool:
        return value < best if self.mode == "min" else value > best

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        for name in _STATE:
            setattr(self, name, state[name])


def unknown_score(name: str, known: Iterable[str]) -> str:
    """Return the error message for a score that the config does not compute."""
    known = sorted(known)
    return f'no score is called "{name}"{did_you_mean(name, known)}; this config computes: {", ".join(known)}'
