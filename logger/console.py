"""Show a progress bar, a row per epoch and the run's folder in the terminal; write the same rows to log.txt."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from torch import Tensor

from base.base_callback import BaseCallback
from utils import files
from utils.checkpoint_names import BEST

if TYPE_CHECKING:
    from tqdm import tqdm

    from base.base_trainer import BaseTrainer


class ConsoleLogger(BaseCallback):
    """The logger for the terminal: rows go to standard output, progress bars to standard error."""

    main_only = True

    def __init__(self, verbosity: int) -> None:
        self.verbosity = verbosity
        self.bar: tqdm[NoReturn] | None = None
        self.columns: list[str] = []
        self.text: Path | None = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Print the run's folder and, if the run is resumed, the epoch, batch and step at which it continues."""
        self.text = trainer.folder.log / "log.txt"
        progress = trainer.progress
        place = (
            f", continues at epoch {progress.epoch + 1}, batch {progress.batch}, step {progress.step}" if progress.step else ""
        )
        self.say(f"run {trainer.folder.models}{place}")

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """Show a bar over the batches of the epoch."""
        self._bar(f"epoch {trainer.progress.epoch + 1}/{trainer.settings.epochs}", len(trainer.batches), trainer.progress.batch)

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Move the bar; every `log_every` steps show the loss (0-d tensors), which waits for the device."""
        if self.bar is None:
            return
        if trainer.progress.step % trainer.settings.log_every == 0 and "loss" in losses:
            self.bar.set_postfix(loss=f"{losses['loss'].item():.4f}", refresh=False)
        self.bar.update()

    def on_evaluation_step(self, trainer: BaseTrainer, done: int, total: int) -> None:
        """Show a bar over the validation batches, and move it."""
        if done == 1:
            self._bar("validation", total, 0)
        if self.bar is not None:
            self.bar.update()

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Print a row of the table, and the warnings about the epoch.

        The columns are the scores with two parts in their names (`val/f1`, not `val/f1/age`).
        """
        self._close_bar()
        names = [name for name in log if name.count("/") == 1]
        if not set(names) <= set(self.columns):  # in the first epoch, and when the first validation adds its scores
            self.columns = names
            self.say(" ".join(["epoch", *(f"{name:>14}" for name in self.columns)]))
        cells = [_cell(log.get(name)) for name in self.columns]
        row = " ".join([f"{trainer.progress.epoch + 1:>5}", *(f"{cell:>14}" for cell in cells)])
        self.say(row + ("   *" if improved else ""))
        for line in trainer.warnings:
            self.say(line)

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Print the best score, doubts about it, the reason for the end, and how to continue if training is not complete."""
        self._close_bar()
        monitor, models = trainer.monitor, trainer.folder.models
        if monitor.best is not None and monitor.best_epoch is not None:
            self.say(f"best {monitor.name} {monitor.best:.4f} in epoch {monitor.best_epoch + 1}: {models / BEST}")
        for line in trainer.doubts() if trainer.done else ():
            self.say(f"warning: {line}")
        # An error would be met again: its own line says what to do.
        stopped = trainer.stop.received is not None and not trainer.done
        again = "; continue with the same command and -r auto" if stopped else ""
        self.say(f"{reason.splitlines()[0]} after {trainer.progress.epoch} epochs, {trainer.progress.step} steps{again}")

    def say(self, line: str) -> None:
        """Print a line (unless verbosity is 0) and add it to log.txt. Raises WriteError if log.txt cannot be written."""
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
