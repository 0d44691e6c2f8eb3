"""Weights & Biases: online for those who are logged in, a folder to sync later for all others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from base.base_callback import CALLBACKS, BaseCallback
from logger.figures import figures

if TYPE_CHECKING:
    from base.base_trainer import BaseTrainer


@CALLBACKS.register()
class WandbLogger(BaseCallback):
    """Scores and figures of every epoch. Whatever goes wrong with it, the training goes on."""

    main_only = True

    def __init__(self) -> None:
        self.run: Any = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Begin, or go on with, the run of the same name."""
        import wandb

        folder = trainer.folder
        mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
        settings = wandb.Settings(silent=True, init_timeout=20, x_disable_stats=True, console="off")
        config = trainer.metadata["config"]
        try:
            self.run = wandb.init(
                project=config["name"], id=folder.models.name, resume="allow", dir=str(folder.log), mode=mode, config=config, settings=settings  # type: ignore[arg-type]
            )  # fmt: skip
        except Exception as error:  # a service that is down is no reason to stop a training
            print(f"warning: W&B is off for this run ({type(error).__name__}: {str(error).splitlines()[0]})", flush=True)

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Scores; figures if this epoch is the best so far."""
        if self.run is None:
            return
        import wandb

        pictures = {name: wandb.Image(figure) for name, figure in figures(trainer).items()} if improved else {}
        rates = {f"lr/{name}": rate for name, rate in trainer.learning_rates().items()}
        self.run.log({**log, **rates, **pictures, "epoch": trainer.progress.epoch + 1}, step=trainer.progress.step)

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Close the run."""
        if self.run is not None:
            self.run.finish(quiet=True)
            self.run = None


def _logged_in() -> bool:
    """Whether there is a key, without asking the network."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    from netrc import NetrcParseError, netrc

    try:
        return netrc().authenticators("api.wandb.ai") is not None
    except (OSError, NetrcParseError):
        return False
