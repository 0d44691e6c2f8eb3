"""Move the learning rates of a run: a scheduler and its warm-up, once a step and once an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import Optimizer

from trainer.training.schedulers import BaseScheduler

# torch takes the first call after a resume, or after steps that were skipped, for a call in the wrong order.
warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")

# All that changes in torch's schedulers as they are stepped.
_MOVING = {"last_epoch", "_step_count", "_last_lr", "T_cur", "T_i", "best", "num_bad_epochs", "cooldown_counter"}


class Schedule:
    """A scheduler and its warm-up, moved once a step and once an epoch.

    The rates are a function of the settings, the schedule's length, and the numbers of steps and epochs so far: a run that is
    continued for more epochs has at each step the rate of a run that was that long from its start. `PlateauLR` alone follows the
    scores, whose history is saved. The warm-up lowers the scheduler's rates only for the step and then restores them, so that
    it works with every scheduler.
    """

    def __init__(self, settings: BaseScheduler | None, optimizer: Optimizer, epochs: int, epoch_steps: int, mode: str) -> None:
        self.settings, self.optimizer, self.mode, self.epoch_steps = settings, optimizer, mode, epoch_steps
        self.interval = settings.interval if settings else "epoch"
        self.warmup_steps = round(settings.warmup * epoch_steps) if settings else 0
        self.length = (settings.epochs if settings else None) or epochs
        self.first = self.rates()
        self._begin()

    def _begin(self) -> None:
        """Go to the first step."""
        for group, rate in zip(self.optimizer.param_groups, self.first, strict=True):
            group["lr"] = rate
            group.pop("initial_lr", None)
        per_epoch = self.epoch_steps if self.interval == "step" else 1
        self.scheduler: LRScheduler | None = None
        if self.settings is not None:
            self.scheduler = self.settings.create(self.optimizer, self.length, self.length * self.epoch_steps, per_epoch)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.mode = "max" if self.mode == "max" else "min"
            self.scheduler._init_is_better(self.scheduler.mode, self.scheduler.threshold, self.scheduler.threshold_mode)
            self.scheduler.best = self.scheduler.mode_worse
        # A schedule that is shorter than the run stays at the rate of its last step.
        self.moves = self.length * per_epoch - (1 if self.settings is not None and self.settings.epochs else 0)
        self.steps = self.epochs = self.idle = 0
        self.at_rest = True  # every rate of the epoch's steps so far was 0
        self._remember()

    def after_step(self) -> None:
        """Move the rates after a step."""
        self.at_rest = self.at_rest and not any(self.rates())
        self.steps += 1
        self._restore()
        if self.interval == "step":
            self._move()
        self._remember()

    def after_epoch(self, score: float | None) -> bool:
        """Move the rates after an epoch; return whether every rate was 0 in it, so that nothing was learned.

        score: the monitored score, None if it was not computed.
        """
        rested, self.at_rest = self.at_rest, True
        self.epochs += 1
        self.idle += rested
        self._restore()
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if score is not None:
                self.scheduler.step(score)
        elif self.interval == "epoch":
            self._move()
        self._remember()
        return rested

    def rates(self) -> list[float]:
        """Return the learning rate of each group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _move(self) -> None:
        if self.scheduler is not None and self.moves > 0:
            self.moves -= 1
            self.scheduler.step()

    def _restore(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.undamped, strict=True):
            group["lr"] = rate

    def _remember(self) -> None:
        self.undamped = self.rates()
        self._dampen()

    def _dampen(self) -> None:
        if self.steps < self.warmup_steps:
            for group in self.optimizer.param_groups:
                group["lr"] *= (self.steps + 1) / (self.warmup_steps + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the position. The settings are not saved: they come from the config, which may change the epochs."""
        state = self.scheduler.state_dict() if self.scheduler is not None else {}
        moving = {name: value for name, value in state.items() if name in _MOVING}
        counted = {name: getattr(self, name) for name in ("steps", "epochs", "idle", "at_rest", "moves", "length")}
        return {**counted, "undamped": self.undamped, "scheduler": moving}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`; if the schedule has another length now, go to the same step of that schedule."""
        if state["length"] == self.length or isinstance(self.scheduler, ReduceLROnPlateau):
            self.moves, self.undamped = state["moves"], list(state["undamped"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict({**self.scheduler.state_dict(), **state["scheduler"]})
        else:
            self._begin()
            self._restore()
            for _ in range(state["steps"] if self.interval == "step" else state["epochs"]):
                self._move()
            self.undamped = self.rates()
        self.steps, self.epochs, self.idle, self.at_rest = (state[name] for name in ("steps", "epochs", "idle", "at_rest"))
        self._restore()
        self._dampen()
