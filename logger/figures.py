"""The plots that a run's metrics draw of its last validation, drawn once for all logs that want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from base.base_trainer import BaseTrainer

_drawn: dict[int, tuple[int, dict[str, Figure]]] = {}


def figures(trainer: BaseTrainer) -> dict[str, Figure]:
    """Name -> plot of the validation that was just made."""
    step, drawn = _drawn.get(id(trainer), (-1, {}))
    if step != trainer.progress.step:
        drawn = trainer.figures()
        _drawn.clear()
        _drawn[id(trainer)] = (trainer.progress.step, drawn)
    return drawn
