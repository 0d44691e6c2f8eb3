"""Log to Weights & Biases: online if the user is logged in, else to a folder that can be uploaded later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from base.base_callback import CALLBACKS, BaseCallback
from logger.figures import pixels

if TYPE_CHECKING:
    from base.base_trainer import BaseTrainer


@CALLBACKS.register()
class WandbLogger(BaseCallback):
    """The logger for Weights & Biases: scores of every epoch, figures of each new best epoch. Its errors never stop training."""

    main_only = True

    def __init__(self) -> None:
        self.run: Any = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Start the W&B run with the run's name, or continue it."""
        self._guarded(lambda: self._begin(trainer))

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Log the scores, and the figures if this epoch is the best so far."""
        if self.run is not None:
            self._guarded(lambda: self._log(trainer, log, improved))

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Close the W&B run."""
        if self.run is not None:
            self._guarded(lambda: self.run.finish())
            self.run = None

    def _begin(self, trainer: BaseTrainer) -> None:
        import wandb

        folder, config = trainer.folder, trainer.metadata["config"]
        mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
        settings = wandb.Settings(silent=True, init_timeout=20, finish_timeout=30, x_disable_stats=True, console="off")
        names: dict[str, Any] = {"project": config["name"], "id": folder.models.name, "dir": str(folder.log), "mode": mode}
        self.run = wandb.init(**names, resume="allow", config=config, settings=settings)

    def _log(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        import wandb

        figures = trainer.figures() if improved else {}
        pictures = {name: wandb.Image(pixels(figure)) for name, figure in figures.items()}
        rates = {f"lr/{name}": rate for name, rate in trainer.learning_rates().items()}
        self.run.log({**log, **rates, **pictures, "epoch": trainer.progress.epoch + 1}, step=trainer.progress.step)

    def _guarded(self, action: Callable[[], object]) -> None:
        """Call `action`; on any error print one warning and stop logging, so that a service that is down stops no training."""
        try:
            action()
        except Exception as error:  # whatever the client raises
            self.run = None
            print(f"warning: W&B is off for the rest of this run ({type(error).__name__}: {str(error)[:120]})", flush=True)


def _logged_in() -> bool:
    """Return whether an API key is stored, without using the network."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    from netrc import NetrcParseError, netrc

    try:
        return netrc().authenticators("api.wandb.ai") is not None
    except (OSError, NetrcParseError):
        return False
