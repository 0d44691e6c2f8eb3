"""Means over the samples of an epoch, summed where the values are, so that no step waits for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from utils import distributed


class Meter:
    """Sample-weighted means of named scalars."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples = 0

    def update(self, values: Mapping[str, Tensor], samples: int) -> None:
        """Add scalars () that are means over a global batch of `samples`."""
        if not values:  # a step that was skipped
            return
        for name, value in values.items():
            add = value.double() * samples
            self.sums[name] = self.sums[name] + add if name in self.sums else add
        self.samples += samples

    def means(self) -> dict[str, float]:
        """Name -> mean over all samples and processes. Waits for the device; every process must call it."""
        if not self.sums:
            return {}
        totals = distributed.sum_over_ranks(torch.stack(list(self.sums.values()))) / distributed.world_size()
        return dict(zip(self.sums, (totals / self.samples).tolist(), strict=True))

    def reset(self) -> None:
        """Begin a new epoch."""
        self.sums, self.samples = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """Sums averaged over the processes; every process must call it."""
        sums = {name: distributed.sum_over_ranks(value) / distributed.world_size() for name, value in self.sums.items()}
        return {"sums": {name: value.cpu() for name, value in sums.items()}, "samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """What `state_dict` gave."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.samples = state["samples"]
