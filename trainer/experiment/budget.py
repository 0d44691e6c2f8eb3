"""The largest size of a model that a competition or a device allows."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from base.base_model import BaseModel
from base.types import Positive
from utils.errors import UserError
from utils.validate import Settings

MEGABYTE = 1e6


class Budget(Settings):
    """Limits on the size of the model, not counting the parts that only training needs."""

    max_params: Positive | None = Field(default=None, description="largest number of parameters")
    max_model_mb: Positive | None = Field(default=None, description="largest size of its weights, in 10^6 bytes")


class Size(NamedTuple):
    """Parameters, and bytes of parameters and buffers."""

    params: int
    bytes: int


def inference_size(model: BaseModel) -> Size:
    """Return the size of the parts of a model that predicting needs."""
    left_out = {id(tensor) for part in model.training_only() for tensor in (*part.parameters(), *part.buffers())}
    tensors = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}  # shared tensors are counted once
    kept = [tensor for name, tensor in tensors.items() if name not in left_out]
    params = sum(p.numel() for p in model.parameters() if id(p) not in left_out)
    return Size(params, sum(tensor.numel() * tensor.element_size() for tensor in kept))


def require_within(budget: Budget, model: BaseModel) -> None:
    """Raise UserError if the model is larger than the budget allows."""
    size = inference_size(model)
    if budget.max_params is not None and size.params > budget.max_params:
        found, allowed = f"{size.params:,} parameters", f"{budget.max_params:,.0f}"
        raise UserError(f"budget.max_params: the model has {found}; allowed: {allowed}; choose a smaller arch")
    if budget.max_model_mb is not None and size.bytes > budget.max_model_mb * MEGABYTE:
        found, allowed = f"{size.bytes:,} bytes", f"{budget.max_model_mb * MEGABYTE:,.0f}"
        raise UserError(f"budget.max_model_mb: the model has {found}; allowed: {allowed}; choose a smaller arch")
