"""Choose a device, move tensors to it, and set the precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from utils import distributed, memory
from utils.errors import UserError

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def select(name: str | None) -> torch.device:
    """Return the device with the name (`cpu`, `cuda`, `cuda:1`, `mps`); None means a GPU if the machine has one, else the CPU.

    If a machine runs several processes, `cuda` is the GPU of the process's local rank.
    Raises UserError if the device cannot be used on this machine.
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
    """Return the device names that `select` accepts on this machine."""
    names = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return names + (["mps"] if torch.backends.mps.is_available() else [])


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the context for mixed precision: `fp32` (none), `bf16`, or `fp16` (which needs a gradient scaler)."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def to_device(value: Any, device: torch.device) -> Any:
    """Return `value` with every tensor (any shape and dtype; in dicts, lists, tuples) on `device`.

    Pinned memory is copied asynchronously.
    """
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(item, device) for item in value)
    return value


def to_float32(value: Any) -> Any:
    """Return `value` with every float16 or bfloat16 tensor (any shape) as float32: losses and decoders use full precision."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, dict):
        return {key: to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_float32(item) for item in value)
    return value
