"""Cut a batch of any nesting into pieces: the first dimension of every tensor and list in it is the samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor


def cut(value: Any, start: int, stop: int) -> Any:
    """Return samples `start` to `stop` (exclusive) of a batch: tensors (B, …), lists, or dictionaries of them.

    Raises TypeError for any other value.
    """
    if isinstance(value, dict):
        return {key: cut(item, start, stop) for key, item in value.items()}
    if isinstance(value, Tensor | list | tuple):
        return value[start:stop]
    raise TypeError(f"a batch holds tensors, lists and dictionaries; found {type(value).__name__}")


def pieces(batch: Any, sizes: Sequence[int], own: int, number: int) -> Iterator[tuple[Any, float]]:
    """Yield this process's part of a global batch in at most `number` nearly equal pieces, each with its share of the samples.

    sizes: the number of the batch's samples on each process; `own` is this process's index in it. The number of pieces is
    the same on all processes. A share in (0, 1] is a piece's samples on all processes, divided by all samples of the batch.
    """
    number = min(number, *sizes)
    for index in range(number):
        spans = [(size * index // number, size * (index + 1) // number) for size in sizes]
        share = sum(stop - start for start, stop in spans) / sum(sizes)
        yield (batch if number == 1 else cut(batch, *spans[own])), share
