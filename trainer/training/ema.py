"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Ema:
    """`average = d * average + (1 - d) * weights` after each step, with d = min(decay, (1 + t) / (10 + t)).

    The rising decay (TensorFlow's ExponentialMovingAverage with `num_updates`) lets short runs forget the random start.
    Buffers (batch-norm statistics) are copied, being averages already.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self._pairs = [(a.data, b.data) for a, b in zip(self.module.parameters(), model.parameters(), strict=True)]
        self._model = model

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the weights after step number `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, weights = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(list(averages), list(weights), 1 - decay)
        for average, buffer in zip(self.module.buffers(), self._model.buffers(), strict=True):
            average.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the averaged model."""
        return dict(self.module.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.module.load_state_dict(state)
