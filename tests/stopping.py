"""Runs of the tiny config that are stopped at a chosen step."""

from __future__ import annotations

import os
import signal

from base.base_callback import BaseCallback
from tests.helpers import launch
from trainer.experiment import build

STEPS = 6  # in an epoch of the tiny config


class Ask(BaseCallback):
    """Asks for a stop after some step, or after some batch of the validation that follows it."""

    def __init__(self, step=None, batch=None, error=None):
        self.step, self.batch, self.error = step, batch, error

    def on_step(self, trainer, losses):
        if self.batch is None and trainer.progress.step == self.step:
            self.ask(trainer)

    def on_evaluation_step(self, trainer, done, total):
        if self.batch == done and trainer.progress.step == self.step:
            self.ask(trainer)

    def ask(self, trainer):
        if self.error:
            raise self.error
        os.kill(os.getpid(), signal.SIGTERM)


def train(config, resume=None, ask=None, **options):
    """What train.py does, in this process. Returns the exit status."""
    real = build.build_callbacks
    build.build_callbacks = lambda *given: [*real(*given), ask or Ask()]
    try:
        return launch(config, resume, **options)
    finally:
        build.build_callbacks = real
