"""Where tensors live, and how they get there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from utils import distributed, memory
from utils.errors import UserError

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def select(name: str | None) -> torch.device:
    """The device of that name (`cpu`, `cuda`, `cuda:1`, `mps`); None takes a GPU if there is one.

    With several processes on a machine each takes the GPU of its local rank. Raises UserError for a device that is not there.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{distributed.local_rank()}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if device.type == "cpu":
            memory.keep_freed()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: cannot be used ({reason}); allowed here: {', '.join(available())}") from None
    return device


def available() -> list[str]:
    """Names that `select` takes on this machine."""
    names = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Mixed precision as configured: `fp32` none, `bf16`, or `fp16` (which needs a gradient scaler)."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def to_device(value: Any, device: torch.device) -> Any:
    """`value` with every tensor in it (dicts, lists, tuples) on `device`; pinned memory is copied asynchronously."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(item, device) for item in value)
    return value


def to_float32(value: Any) -> Any:
    """`value` with every half-precision tensor in it as float32: losses and decoders work in full precision."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, dict):
        return {key: to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_float32(item) for item in value)
    return value
