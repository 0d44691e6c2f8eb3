"""Optimisers that a config may name: torch's and timm's classes, with checked arguments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim.optimizer import Optimizer

from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.registry import Registry
from base.types import NotAllShare, SomeShare
from utils.errors import UserError
from utils.validate import Settings

# Numbers of an optimiser or a schedule: a larger one is a slip.
Bounded = Annotated[float, Field(gt=0, le=1e6)]
BoundedOrZero = Annotated[float, Field(ge=0, le=1e6)]

Betas = Annotated[
    tuple[NotAllShare, NotAllShare], Field(description="decay per step of the running means of the gradient and of its square")
]
Epsilon = Annotated[Bounded, Field(description="added to the denominator, so that it is never 0")]
Momentum = Annotated[NotAllShare, Field(description="share of the last step that is added to the next one")]


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


def trainable(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters that are trained, each once."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters() if p.requires_grad))
