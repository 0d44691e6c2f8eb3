"""Optimisers and schedules that a config may name: torch's and timm's classes, with checked arguments."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import Optimizer

from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.registry import Registry
from base.types import Count, CountOrZero, NotAllShare, ProperShare, SomeShare
from utils.errors import UserError
from utils.validate import Settings

# torch takes the first call after a resume, or after steps that were skipped, for a call in the wrong order.
warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before")

# Numbers of an optimiser or a schedule: a larger one is a slip.
Bounded = Annotated[float, Field(gt=0, le=1e6)]
BoundedOrZero = Annotated[float, Field(ge=0, le=1e6)]

Betas = Annotated[
    tuple[NotAllShare, NotAllShare], Field(description="decay per step of the running means of the gradient and of its square")
]
Epsilon = Annotated[Bounded, Field(description="added to the denominator, so that it is never 0")]
Momentum = Annotated[NotAllShare, Field(description="share of the last step that is added to the next one")]
Gamma = Annotated[Bounded, Field(description="factor on the rate")]
LowestRate = Annotated[BoundedOrZero, Field(description="the lowest rate")]
EveryEpoch = Annotated[Literal["epoch"], Field(description="how often the rate moves")]


class BaseOptimizer(Settings):
    """Rates and decays by kind of parameter, for every optimiser."""

    lr: Bounded = Field(description="learning rate (the peak, for schedules that have one)")
    weight_decay: BoundedOrZero = Field(default=0.0, description="of weights; norms and biases have none")
    head_lr: Bounded | None = Field(default=None, description="learning rate of the model's head and the loss's parameters")
    head_weight_decay: BoundedOrZero | None = Field(default=None, description="weight decay of those")
    layer_decay: SomeShare | None = Field(
        default=None, description="factor on the rate from each group of layers to the one before it, the head's being 1"
    )

    @abstractmethod
    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        """Return the optimiser over parameter groups, each with its own `lr` and `weight_decay`."""

    def build(self, model: BaseModel, loss: BaseLoss) -> Optimizer:
        """Return the optimiser over the trainable parameters of the model and the loss."""
        return self.create(parameter_groups(self, model, loss))

    def options(self) -> dict[str, Any]:
        """Return the optimiser's arguments, without the rates and decays, which are in the groups."""
        return self.model_dump(exclude=set(BaseOptimizer.model_fields))


OPTIMIZERS: Registry[BaseOptimizer] = Registry("optimizer", BaseOptimizer)


def parameter_groups(settings: BaseOptimizer, model: BaseModel, loss: BaseLoss) -> list[dict[str, Any]]:
    """Return the groups of body and head, each with and without decay; 1-d parameters (norms, biases) are not decayed.

    With `layer_decay` the body's groups of layers have rates of their own (discriminative fine-tuning, Howard and Ruder 2018,
    section 3.1). Raises UserError if the model does not know its groups of layers.
    """
    depths = _depths(settings, model)
    head = {id(p) for module in (*model.head(), loss) for p in module.parameters()}
    groups: dict[str, dict[str, Any]] = {}
    for parameter in (*model.parameters(), *loss.parameters()):
        if not parameter.requires_grad:
            continue
        in_head, decayed = id(parameter) in head, parameter.ndim > 1
        part, factor = ("head", 1.0) if in_head else depths.get(id(parameter), ("body", 1.0))
        name = f"{part}{'' if decayed else ', no decay'}"
        group = groups.setdefault(name, {"name": name, "params": [], **_rates(settings, in_head, decayed, factor)})
        group["params"].append(parameter)
    return list(groups.values())


def _depths(settings: BaseOptimizer, model: BaseModel) -> dict[int, tuple[str, float]]:
    """Return id of a parameter -> name of its group of layers, and factor on its rate."""
    if settings.layer_decay is None:
        return {}
    groups = model.layer_groups()
    if not groups:
        raise UserError(
            f"optimizer.args.layer_decay: {type(model).__name__} does not say which of its layers are how deep (layer_groups); "
            "leave it out"
        )
    named = [(f"layers {number}", settings.layer_decay ** (len(groups) + 1 - number)) for number in range(1, len(groups) + 1)]
    return {id(p): place for place, group in zip(named, groups, strict=True) for p in group}


def _rates(settings: BaseOptimizer, in_head: bool, decayed: bool, factor: float) -> dict[str, float]:
    lr, decay = settings.lr * factor, settings.weight_decay
    if in_head:
        lr = lr if settings.head_lr is None else settings.head_lr
        decay = decay if settings.head_weight_decay is None else settings.head_weight_decay
    return {"lr": lr, "weight_decay": decay if decayed else 0.0}


@OPTIMIZERS.register()
class SGD(BaseOptimizer):
    """Stochastic gradient descent (torch.optim.SGD)."""

    momentum: Momentum = 0.0
    nesterov: bool = Field(default=False, description="look ahead; needs momentum")

    @model_validator(mode="after")
    def _has_momentum(self) -> SGD:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov with a momentum above 0")
        return self

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.SGD(groups, **self.options())


class _AdamLike(BaseOptimizer):
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8
    amsgrad: bool = Field(default=False, description="divide by the largest running mean so far (Reddi et al. 2018)")


@OPTIMIZERS.register()
class Adam(_AdamLike):
    """Adam (torch.optim.Adam): Kingma and Ba 2015; decay is added to the gradient."""

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.Adam(groups, **self.options())


@OPTIMIZERS.register()
class AdamW(_AdamLike):
    """Adam with decoupled weight decay (torch.optim.AdamW): Loshchilov and Hutter 2019."""

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.AdamW(groups, **self.options())


@OPTIMIZERS.register()
class RMSprop(BaseOptimizer):
    """RMSprop (torch.optim.RMSprop)."""

    alpha: NotAllShare = Field(default=0.99, description="decay per step of the running mean of the squared gradient")
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.RMSprop(groups, **self.options())


@OPTIMIZERS.register()
class Lamb(BaseOptimizer):
    """Layer-wise adaptive rates for large batches (timm.optim.Lamb): You et al. 2020."""

    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-6

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        from timm.optim import Lamb as TimmLamb

        return TimmLamb(groups, **self.options())


@OPTIMIZERS.register()
class Lion(BaseOptimizer):
    """Sign of an interpolated momentum (timm.optim.Lion): Chen et al. 2023."""

    betas: tuple[NotAllShare, NotAllShare] = Field(
        default=(0.9, 0.99), description="share of the running mean of the gradient in a step, and its decay per step"
    )

    def create(self, groups: list[dict[str, Any]]) -> Optimizer:
        from timm.optim import Lion as TimmLion

        return TimmLion(groups, **self.options())


# Schedules ----------------------------------------------------------------------------------------------------------


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


# All that changes in torch's schedulers as they are stepped.
_MOVING = {"last_epoch", "_step_count", "_last_lr", "T_cur", "T_i", "best", "num_bad_epochs", "cooldown_counter"}


class Schedule:
    """A scheduler and its warm-up, moved once a step and once an epoch.

    The rates are a function of the settings, the schedule's length, and the numbers of steps and epochs so far: a run that is
    continued for more epochs has at each step the rate of a run that was that long from its start. `PlateauLR` alone follows the
    scores, whose history is saved. The warm-up lowers the scheduler's rates only for the step and then restores them, so that
    it works with every scheduler.
    """

    def __init__(self, settings: BaseScheduler | None, optimizer: Optimizer, epochs: int, epoch_steps: int, mode: str) -> None:
        self.settings, self.optimizer, self.mode, self.epoch_steps = settings, optimizer, mode, epoch_steps
        self.interval = settings.interval if settings else "epoch"
        self.warmup_steps = round(settings.warmup * epoch_steps) if settings else 0
        self.length = (settings.epochs if settings else None) or epochs
        self.first = self.rates()
        self._begin()

    def _begin(self) -> None:
        """Go to the first step."""
        for group, rate in zip(self.optimizer.param_groups, self.first, strict=True):
            group["lr"] = rate
            group.pop("initial_lr", None)
        per_epoch = self.epoch_steps if self.interval == "step" else 1
        self.scheduler: LRScheduler | None = None
        if self.settings is not None:
            self.scheduler = self.settings.create(self.optimizer, self.length, self.length * self.epoch_steps, per_epoch)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.mode = "max" if self.mode == "max" else "min"
            self.scheduler._init_is_better(self.scheduler.mode, self.scheduler.threshold, self.scheduler.threshold_mode)
            self.scheduler.best = self.scheduler.mode_worse
        # A schedule that is shorter than the run stays at the rate of its last step.
        self.moves = self.length * per_epoch - (1 if self.settings is not None and self.settings.epochs else 0)
        self.steps = self.epochs = self.idle = 0
        self.at_rest = True  # every rate of the epoch's steps so far was 0
        self._remember()

    def after_step(self) -> None:
        """Move the rates after a step."""
        self.at_rest = self.at_rest and not any(self.rates())
        self.steps += 1
        self._restore()
        if self.interval == "step":
            self._move()
        self._remember()

    def after_epoch(self, score: float | None) -> bool:
        """Move the rates after an epoch; return whether every rate was 0 in it, so that nothing was learned.

        score: the monitored score, None if it was not computed.
        """
        rested, self.at_rest = self.at_rest, True
        self.epochs += 1
        self.idle += rested
        self._restore()
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if score is not None:
                self.scheduler.step(score)
        elif self.interval == "epoch":
            self._move()
        self._remember()
        return rested

    def rates(self) -> list[float]:
        """Return the learning rate of each group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _move(self) -> None:
        if self.scheduler is not None and self.moves > 0:
            self.moves -= 1
            self.scheduler.step()

    def _restore(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.undamped, strict=True):
            group["lr"] = rate

    def _remember(self) -> None:
        self.undamped = self.rates()
        self._dampen()

    def _dampen(self) -> None:
        if self.steps < self.warmup_steps:
            for group in self.optimizer.param_groups:
                group["lr"] *= (self.steps + 1) / (self.warmup_steps + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the position. The settings are not saved: they come from the config, which may change the epochs."""
        state = self.scheduler.state_dict() if self.scheduler is not None else {}
        moving = {name: value for name, value in state.items() if name in _MOVING}
        counted = {name: getattr(self, name) for name in ("steps", "epochs", "idle", "at_rest", "moves", "length")}
        return {**counted, "undamped": self.undamped, "scheduler": moving}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`; if the schedule has another length now, go to the same step of that schedule."""
        if state["length"] == self.length or isinstance(self.scheduler, ReduceLROnPlateau):
            self.moves, self.undamped = state["moves"], list(state["undamped"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict({**self.scheduler.state_dict(), **state["scheduler"]})
        else:
            self._begin()
            self._restore()
            for _ in range(state["steps"] if self.interval == "step" else state["epochs"]):
                self._move()
            self.undamped = self.rates()
        self.steps, self.epochs, self.idle, self.at_rest = (state[name] for name in ("steps", "epochs", "idle", "at_rest"))
        self._restore()
        self._dampen()


def trainable(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that are trained, each once."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters() if p.requires_grad))
