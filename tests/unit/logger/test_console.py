"""Test the last line of a run on the console."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from base.base_trainer import Progress
from base.monitor import Monitor
from logger.console import ConsoleLogger


@pytest.mark.parametrize(
    ("reason", "received", "advice"),
    [
        ("SIGTERM", signal.SIGTERM, "; continue with the same command and -r auto"),
        ("UserError: trainer.monitor: no score is called so", None, ""),
        ("RuntimeError: a shape does not fit", None, ""),
        ("finished", None, ""),
    ],
)
def test_only_a_run_that_a_signal_stopped_is_told_to_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str, received: Any, advice: str
) -> None:
    stop, folder = SimpleNamespace(received=received), SimpleNamespace(models=tmp_path)
    trainer: Any = SimpleNamespace(monitor=Monitor("off"), folder=folder, progress=Progress(epoch=2, step=9), stop=stop)
    trainer.done = reason == "finished"
    trainer.doubts = list
    ConsoleLogger(1).on_fit_end(trainer, reason)
    assert capsys.readouterr().out == f"{reason} after 2 epochs, 9 steps{advice}\n"
