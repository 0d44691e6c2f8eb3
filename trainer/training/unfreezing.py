"""A network that is trained from its end to its beginning."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from base.base_callback import CALLBACKS, BaseCallback
from base.base_trainer import BaseTrainer
from base.types import Count
from trainer.training.supervised import SupervisedTrainer
from utils.errors import UserError


@CALLBACKS.register()
class GradualUnfreezing(BaseCallback):
    """Trains the head alone first, then one group of layers more every so many epochs, the last ones first.

    Howard and Ruder 2018 (ULMFiT), section 3.3. What is frozen has no gradient and is not decayed. It is a function of the
    epoch: there is nothing to save. For rates that differ by depth see `layer_decay` of the optimiser.
    """

    def __init__(
        self,
        epochs: Annotated[Count, Field(description="number of epochs from one group of layers to the next")] = 1,
        rest_norms: Annotated[
            bool, Field(description="keep the batch-norm statistics of frozen layers, as in evaluation")
        ] = True,
    ) -> None:
        self.epochs, self.rest_norms = epochs, rest_norms

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """Freeze the layers that this epoch does not train. Raises UserError if the model does not know its groups of layers."""
        if not isinstance(trainer, SupervisedTrainer):
            raise UserError(f"callbacks: GradualUnfreezing: {type(trainer).__name__} has no layers to freeze; leave it out")
        groups = trainer.model.layer_groups()
        if not groups:
            raise UserError(
                f"callbacks: GradualUnfreezing: {type(trainer.model).__name__} does not say which of its layers are how deep "
                "(layer_groups); leave it out"
            )
        frozen = groups[: max(0, len(groups) - trainer.progress.epoch // self.epochs)]
        trainer.freeze([parameter for group in frozen for parameter in group], self.rest_norms)
