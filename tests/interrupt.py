"""A training that is asked to stop at a step of one's choice."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from base.base_callback import BaseCallback
from trainer.experiment import build


class Interrupt(BaseCallback):
    """Sends SIGTERM after the step `at`. steps: so far, of all runs together."""

    def __init__(self) -> None:
        self.steps, self.at = 0, 0

    def on_step(self, trainer: Any, losses: Any) -> None:
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def interrupting(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Every training of this test gets the returned callback."""
    given, interrupt = build.build_callbacks, Interrupt()
    monkeypatch.setattr(build, "build_callbacks", lambda *args: [*given(*args), interrupt])
    return interrupt
