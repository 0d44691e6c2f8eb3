"""Compute means over the samples of an epoch; sums stay on the device, so that no step waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from utils import distributed


class Meter:
    """The means of named scalars, weighted by the number of samples."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples = 0

    def update(self, values: Mapping[str, Tensor], samples: int) -> None:
        """Add scalars () float by name, each a mean over a global batch of `samples` samples."""
        if not values:  # a step that was skipped
            return
        for name, value in values.items():
            add = (value.double() if value.device.type != "mps" else value) * samples
            self.sums[name] = self.sums[name] + add if name in self.sums else add
        self.samples += samples

    def means(self) -> dict[str, float]:
        """Return name -> mean over all samples and processes. Waits for the device; every process must call it."""
        if not self.sums:
            return {}
        totals = distributed.sum_over_ranks(torch.stack(list(self.sums.values()))) / distributed.world_size()
        return dict(zip(self.sums, (totals / self.samples).tolist(), strict=True))

    def reset(self) -> None:
        """Remove all values, for a new epoch."""
        self.sums, self.samples = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of all R processes, (R,) float64 by name, on the CPU; every process must call it."""
        names = list(self.sums)
        sums = distributed.gather(torch.stack(list(self.sums.values()))).T.cpu() if names else torch.empty(0)
        return {"sums": dict(zip(names, sums, strict=True)), "samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore the state of `state_dict`: each process takes its own sums, or the mean if the number of processes changed."""
        rank, processes = distributed.rank(), distributed.world_size()
        mine = {name: sums[rank] if len(sums) == processes else sums.mean() for name, sums in state["sums"].items()}
        self.sums = {name: value.to(device) for name, value in mine.items()}
        self.samples = state["samples"]
