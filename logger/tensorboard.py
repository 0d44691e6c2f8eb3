"""Write curves, figures and embeddings for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from base.base_callback import CALLBACKS, BaseCallback
from base.saved.run_folder import FINISHED
from logger.figures import pixels
from utils import files

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from base.base_trainer import BaseTrainer


@CALLBACKS.register()
class TensorBoardLogger(BaseCallback):
    """The logger for TensorBoard: scalars every `log_every` steps and every epoch, figures after each new best epoch."""

    main_only = True

    def __init__(self) -> None:
        self.writer: SummaryWriter | None = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Open the log; hide the entries that were written after the checkpoint (`purge_step`)."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(trainer.folder.log / "tensorboard"), purge_step=trainer.progress.step + 1)

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Write losses (0-d tensors) and learning rates every `log_every` steps; reading the losses waits for the device."""
        step = trainer.progress.step
        if self.writer is None or step % trainer.settings.log_every:
            return
        with files.explaining(trainer.folder.log):
            for name, value in losses.items():
                self.writer.add_scalar(f"step/{name}", value.item(), step)
            for name, rate in trainer.learning_rates().items():
                self.writer.add_scalar(f"lr/{name}", rate, step)

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Write the scores, and the figures if this epoch is the best so far."""
        if self.writer is None:
            return
        with files.explaining(trainer.folder.log):
            for name, value in log.items():
                self.writer.add_scalar(name, value, trainer.progress.step)
            for name, figure in trainer.figures().items() if improved else ():
                self.writer.add_image(name, pixels(figure), trainer.progress.step, dataformats="HWC")
            self.writer.flush()

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Write the vectors for the projector if the run is complete, then close the log."""
        if self.writer is None:
            return
        with files.explaining(trainer.folder.log):
            for name, points in trainer.points().items() if reason in FINISHED else ():
                self.writer.add_embedding(points.vectors, metadata=points.texts, tag=name, global_step=trainer.progress.step)
            self.writer.close()
        self.writer = None
