"""The base class of callbacks, which act beside training: a log, a progress bar, an unfreezing schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from base.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from base.base_trainer import BaseTrainer


class BaseCallback:
    """Hooks around training; a hook does nothing unless it is overridden. Only the main process may write files.

    Every checkpoint holds the callback's state under its `state_key`.
    """

    main_only = False  # called on the main process only; must not use collectives

    @property
    def state_key(self) -> str:
        """The key of the callback's state in a checkpoint; unique among a run's callbacks."""
        return type(self).__name__

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Act before the first step; `trainer.progress` holds the epoch, batch and step of the run."""

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """Act before the first step of an epoch, or before the first step after a resume within the epoch."""

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Act after each step. losses: name -> detached scalar () float on the device; reading a scalar waits for the device."""

    def on_evaluation_step(self, trainer: BaseTrainer, done: int, total: int) -> None:
        """Act after each batch of validation. done: batches evaluated so far, of `total`."""

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Act after validation. log: name -> score of the epoch. improved: whether the epoch is the best so far."""

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Act at the end of training. reason: `finished`, `early stop`, `stopped`, a signal's name, or an error's text."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""


CALLBACKS: Registry[BaseCallback] = Registry("callback", BaseCallback)
