"""Time two ways to do the same work, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def speed_ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[float]:
    """Return our speed over theirs (seconds of `theirs` / seconds of `ours`) in each round, sorted; the order alternates."""
    ratios = []
    for number in range(rounds):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        a, b = seconds(first), seconds(second)
        ratios.append(b / a if number % 2 == 0 else a / b)
    return sorted(ratios)


def line(label: str, ratios: list[float], target: float) -> str:
    """Return a row with the label, the median ratio, the range and the target."""
    return f"{label:<58} {statistics.median(ratios):6.3f}  ({ratios[0]:.3f} to {ratios[-1]:.3f})  target {target}"
