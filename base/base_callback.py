"""Something that happens beside training: a log, a progress bar, an unfreezing schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from base.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from base.base_trainer import BaseTrainer


class BaseCallback:
    """Hooks around training; each does nothing unless overridden. Writing is for the main process alone.

    A callback with a state has a `state_key` of its own, under which the state is saved in every checkpoint.
    """

    main_only = False  # called on the main process only; must not use collectives

    @property
    def state_key(self) -> str:
        """Unique among a run's callbacks."""
        return type(self).__name__

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Before the first step; `trainer.progress` says where the run stands."""

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """Before the first step of an epoch, or the first after a resume within it."""

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """After each step. losses: detached scalars () on the device; reading one waits for the device."""

    def on_evaluation_step(self, trainer: BaseTrainer, done: int, total: int) -> None:
        """After each batch of validation."""

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """After validation. log: all scores of the epoch by name."""

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """At the end, whatever ended it: `finished`, `early stop`, a signal's name, or an error's text."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave."""


CALLBACKS: Registry[BaseCallback] = Registry("callback", BaseCallback)
