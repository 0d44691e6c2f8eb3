"""Cutting a batch into pieces without knowing what is in it: every leaf has the samples as its first dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor


def cut(value: Any, start: int, stop: int) -> Any:
    """Samples `start` to `stop` of a batch, or of any part of one."""
    if isinstance(value, dict):
        return {key: cut(item, start, stop) for key, item in value.items()}
    if isinstance(value, Tensor | list | tuple):
        return value[start:stop]
    raise TypeError(f"a batch holds tensors, lists and dictionaries; found {type(value).__name__}")


def pieces(batch: Any, sizes: Sequence[int], own: int, number: int) -> Iterator[tuple[Any, float]]:
    """A process's part of a global batch in at most `number` nearly equal pieces, each with its share of the samples.

    sizes: samples that each process has of the batch; `own` is this one's place in it. There are as many pieces on every
    process, and a share is that of a piece on all of them together.
    """
    number = min(number, *sizes)
    for index in range(number):
        spans = [(size * index // number, size * (index + 1) // number) for size in sizes]
        share = sum(stop - start for start, stop in spans) / sum(sizes)
        yield (batch if number == 1 else cut(batch, *spans[own])), share
