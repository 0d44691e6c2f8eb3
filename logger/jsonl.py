"""Write `log.jsonl`, the log of every run: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.base_callback import BaseCallback
from base.saved.names import LOG
from utils import files

if TYPE_CHECKING:
    from torch import Tensor

    from base.base_trainer import BaseTrainer


class JsonlLogger(BaseCallback):
    """The logger for log.jsonl: `{"kind": "step", …}` every `log_every` steps, `{"kind": "epoch", …}` after each epoch.

    A run that continues from a checkpoint first removes the lines that were written after the checkpoint, so that the file
    is the same as without an interruption.
    """

    main_only = True

    def __init__(self) -> None:
        self.path: Path | None = None

    def on_fit_start(self, trainer: BaseTrainer) -> None:
        """Remove the lines that were logged after the checkpoint. Raises WriteError if the file cannot be written."""
        self.path = trainer.folder.log / LOG
        kept = [f"{line}\n" for line, entry in read_lines(self.path) if _is_before(entry, trainer)]
        files.write_bytes(self.path, "".join(kept).encode())

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Write the losses of a step (0-d tensors) every `log_every` steps; reading them waits for the device."""
        progress = trainer.progress
        if progress.step % trainer.settings.log_every == 0:
            values = {name: value.item() for name, value in losses.items()}
            self._write({"kind": "step", "epoch": progress.epoch + 1, "step": progress.step, **values})

    def on_epoch_end(self, trainer: BaseTrainer, log: Mapping[str, float], improved: bool) -> None:
        """Write all scores of an epoch."""
        progress = trainer.progress
        self._write({"kind": "epoch", "epoch": progress.epoch + 1, "step": progress.step, "best": improved, **log})

    def on_fit_end(self, trainer: BaseTrainer, reason: str) -> None:
        """Write the reason for which training ended."""
        self._write({"kind": "end", "epoch": trainer.progress.epoch, "step": trainer.progress.step, "reason": reason})

    def _write(self, entry: dict[str, Any]) -> None:
        plain = {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in entry.items()}
        if self.path is not None:  # None if the run ended before on_fit_start
            files.append_line(self.path, json.dumps(plain))


def read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return each line of a log, without the line end, and its JSON object; skip lines that a kill or a crash cut off."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and "kind" in entry:
            lines.append((line, entry))
    return lines


def _is_before(entry: dict[str, Any], trainer: BaseTrainer) -> bool:
    progress = trainer.progress
    if entry["kind"] == "epoch":
        return bool(entry["epoch"] <= progress.epoch)
    return entry["kind"] == "step" and bool(entry["step"] <= progress.step)
