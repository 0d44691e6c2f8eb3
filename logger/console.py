"""What the user sees: a progress bar, a row per epoch, and where everything is; the same rows in log.txt."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from torch import Tensor

from base.base_callback import BaseCallback
from base.run_folder import FINISHED
from utils import files

if TYPE_CHECKING:
    from tqdm import tqdm

    from base.base_trainer import BaseTrainer


class ConsoleLogger(BaseCallback):
    """Prints to standard output; bars, which come and go, to standard error."""

    main_only = True

    def __init__(self, verbosity: int) -> None:
        self.verbosity = verbosity
        self.bar: tqdm[NoReturn] | None = None
        self.columns: list[str] = []
        self.text: Path | None = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Say where the run is and from where it goes on."""
        self.text = trainer.folder.log / "log.txt"
        progress = trainer.progress
        place = f", going on at epoch {progress.epoch + 1}, batch {progress.batch}, step {progress.step}" if progress.step else ""
        self.say(f"run {trainer.folder.models}{place}")

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """A bar over the batches of the epoch."""
        self._bar(f"epoch {trainer.progress.epoch + 1}/{trainer.settings.epochs}", len(trainer.batches), trainer.progress.batch)

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Move the bar, and now and then read the loss, which waits for the device."""
        if self.bar is None:
            return
        if trainer.progress.step % trainer.settings.log_every == 0 and "loss" in losses:
            self.bar.set_postfix(loss=f"{losses['loss'].item():.4f}", refresh=False)
        self.bar.update()

    def on_evaluation_step(self, trainer: BaseTrainer, done: int, total: int) -> None:
        """A bar over validation."""
        if done == 1:
            self._bar("validation", total, 0)
        if self.bar is not None:
            self.bar.update()

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """A row of the table; its columns are those scores whose names have no third part (`val/f1`, not `val/f1/age`)."""
        self._close_bar()
        found = [name for name in log if name.count("/") == 1]
        if not set(found) <= set(self.columns):  # at first, and when the first validation adds its scores
            self.columns = found
            self.say(" ".join(["epoch", *(f"{name:>14}" for name in self.columns)]))
        cells = [_cell(log.get(name)) for name in self.columns]
        row = " ".join([f"{trainer.progress.epoch + 1:>5}", *(f"{cell:>14}" for cell in cells)])
        self.say(row + ("   *" if improved else ""))

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """The best score, and what to do next."""
        self._close_bar()
        monitor, models = trainer.monitor, trainer.folder.models
        if monitor.best is not None and monitor.best_epoch is not None:
            self.say(f"best {monitor.name} {monitor.best:.4f} in epoch {monitor.best_epoch + 1}: {models / 'best.pth'}")
        again = "" if reason in FINISHED else "; the same command with -r auto goes on"
        self.say(f"{reason.splitlines()[0]} after {trainer.progress.epoch} epochs, {trainer.progress.step} steps{again}")

    def say(self, line: str) -> None:
        """One line to the terminal (unless silenced) and to the text log."""
        if self.verbosity > 0:
            self._close_bar()
            print(line, flush=True)
        if self.text is not None:
            files.append_line(self.text, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")

    def _bar(self, label: str, total: int, done: int) -> None:
        from tqdm import tqdm

        self._close_bar()
        if self.verbosity > 1:
            every = 0.2 if sys.stderr.isatty() else 10.0  # seconds; a log file wants few lines
            self.bar = tqdm(total=total, initial=done, desc=label, leave=False, dynamic_ncols=True, mininterval=every)

    def _close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if math.isfinite(value) else str(value)
