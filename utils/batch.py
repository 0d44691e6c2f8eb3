"""Cutting a batch into pieces without knowing what is in it: every leaf has the samples as its first dimension."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor


def cut(value: Any, start: int, stop: int) -> Any:
    """Samples `start` to `stop` of a batch, or of any part of one."""
    if isinstance(value, dict):
        return {key: cut(item, start, stop) for key, item in value.items()}
    if isinstance(value, Tensor | list | tuple):
        return value[start:stop]
    raise TypeError(f"a batch holds tensors, lists and dictionaries; found {type(value).__name__}")


def pieces(batch: Any, size: int, number: int) -> Iterator[tuple[Any, float]]:
    """The batch of `size` samples in at most `number` nearly equal pieces, each with its share of the samples."""
    number = max(1, min(number, size))
    borders = [size * index // number for index in range(number + 1)]
    for start, stop in zip(borders, borders[1:], strict=False):
        yield (batch if number == 1 else cut(batch, start, stop)), (stop - start) / size
