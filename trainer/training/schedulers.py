"""Schedulers that a config may name: torch's classes, with checked arguments."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import Optimizer

from base.registry import Registry
from base.types import Count, CountOrZero, NotAllShare, ProperShare
from trainer.training.optimizers import Bounded, BoundedOrZero
from utils.validate import Settings

Gamma = Annotated[Bounded, Field(description="factor on the rate")]
LowestRate = Annotated[BoundedOrZero, Field(description="the lowest rate")]
EveryEpoch = Annotated[Literal["epoch"], Field(description="how often the rate moves")]


class BaseScheduler(Settings):
    """Warm-up, for every schedule. Lengths are in epochs, whatever the interval."""

    warmup: BoundedOrZero = Field(default=0.0, description="epochs over which the rate rises linearly from 0 to the schedule's")
    interval: Literal["epoch", "step"] = Field(default="epoch", description="how often the rate moves")
    epochs: Count | None = Field(
        default=None,
        description="length of the schedule; null for trainer.epochs. The schedule of a run that is continued for more epochs is "
        "that of a run that was that long from its start; with a length of its own it stays as it was, and its last rate goes on",
    )

    @abstractmethod
    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        """Return torch's scheduler. epochs, steps: of the whole schedule. per_epoch: number of `step()` calls in an epoch."""


SCHEDULERS: Registry[BaseScheduler] = Registry("lr_scheduler", BaseScheduler)


@SCHEDULERS.register()
class StepLR(BaseScheduler):
    """The rate times `gamma` every `step_size` epochs."""

    step_size: Count = Field(description="number of epochs from one change of the rate to the next")
    gamma: Gamma = 0.1
    interval: EveryEpoch = "epoch"

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return torch_schedulers.StepLR(optimizer, self.step_size, self.gamma)


@SCHEDULERS.register()
class MultiStepLR(BaseScheduler):
    """The rate times `gamma` at each of the epochs `milestones`."""

    milestones: list[Count] = Field(description="the epochs at which the rate changes")
    gamma: Gamma = 0.1
    interval: EveryEpoch = "epoch"

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return torch_schedulers.MultiStepLR(optimizer, self.milestones, self.gamma)


@SCHEDULERS.register()
class ExponentialLR(BaseScheduler):
    """The rate times `gamma` every epoch."""

    gamma: Gamma
    interval: EveryEpoch = "epoch"

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return torch_schedulers.ExponentialLR(optimizer, self.gamma)


@SCHEDULERS.register()
class CosineAnnealingLR(BaseScheduler):
    """Half a cosine from the rate to `eta_min` (Loshchilov and Hutter 2017)."""

    T_max: Count | None = Field(default=None, description="epochs until `eta_min`; null for the whole run")
    eta_min: LowestRate = 0.0
    interval: Literal["epoch", "step"] = Field(default="step", description="how often the rate moves")

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return torch_schedulers.CosineAnnealingLR(optimizer, (self.T_max or epochs) * per_epoch, self.eta_min)


@SCHEDULERS.register()
class CosineAnnealingWarmRestarts(BaseScheduler):
    """Cosines that start anew after `T_0` epochs, each `T_mult` times as long as the one before."""

    T_0: Count = Field(description="number of epochs of the first cosine")
    T_mult: Count = Field(default=1, description="factor on the length from one cosine to the next")
    eta_min: LowestRate = 0.0

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return torch_schedulers.CosineAnnealingWarmRestarts(optimizer, self.T_0 * per_epoch, self.T_mult, self.eta_min)


@SCHEDULERS.register()
class OneCycleLR(BaseScheduler):
    """Up to the optimiser's rate and down to almost nothing over the run, a step at a time (Smith and Topin 2018)."""

    pct_start: NotAllShare = Field(default=0.3, description="share of the steps in which the rate rises")
    div_factor: Annotated[float, Field(ge=1, le=1e6)] = Field(
        default=25.0, description="the first rate is the peak divided by it"
    )
    final_div_factor: Annotated[float, Field(ge=1, le=1e12)] = Field(
        default=1e4, description="the last rate is the first one divided by it"
    )
    anneal_strategy: Literal["cos", "linear"] = Field(default="cos", description="shape of the rise and the fall")
    cycle_momentum: bool = Field(default=False, description="let the momentum move against the rate")
    interval: Literal["step"] = Field(default="step", description="how often the rate moves")

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        peaks = [group["lr"] for group in optimizer.param_groups]
        options = self.model_dump(exclude=set(BaseScheduler.model_fields))
        if self.pct_start * (steps + 1) == 1:  # torch would divide by the length of the rise, which is 0
            options["pct_start"] *= 1.001
        # One more than the steps: the scheduler is stepped after the last one too.
        return torch_schedulers.OneCycleLR(optimizer, peaks, total_steps=steps + 1, **options)


@SCHEDULERS.register()
class PlateauLR(BaseScheduler):
    """The rate times `factor` when the monitored score has not improved for `patience` epochs (ReduceLROnPlateau)."""

    factor: ProperShare = Field(default=0.1, description="factor on the rate")
    patience: CountOrZero = Field(default=10, description="number of epochs without a better score before the rate changes")
    threshold: BoundedOrZero = Field(default=1e-4, description="share of the best score by which a score must be better to count")
    cooldown: CountOrZero = Field(default=0, description="number of epochs after a change that are not counted")
    min_lr: LowestRate = 0.0
    interval: EveryEpoch = "epoch"

    def create(self, optimizer: Optimizer, epochs: int, steps: int, per_epoch: int) -> LRScheduler:
        return ReduceLROnPlateau(optimizer, **self.model_dump(exclude=set(BaseScheduler.model_fields)))
