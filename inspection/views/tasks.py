"""What a task shows on the pages that all tasks share: a module `shared` with a `SHARED` in the task's folder of views."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from base.contracts import DataSpec
from inspection.kinds import all_kinds
from inspection.results import Result

if TYPE_CHECKING:
    from torch import Tensor

    from inspection.models import Answer

Score = Callable[[dict[str, Any]], "Tensor"]  # of a prediction of one sample; a scalar; raises UserError if there is none
Lines = Callable[[int], list[str]]  # what there is to say of a row


class TaskViews(ABC):
    """The parts of one task."""

    @abstractmethod
    def show(self, said: Answer, picture: np.ndarray, spec: DataSpec) -> None:
        """Show what a model says of one picture, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def score(self, said: Answer, spec: DataSpec, key: str) -> Score:
        """Return the score that a map of the picture explains; a box to choose it has this key."""

    def rows(self, result: Result) -> tuple[np.ndarray, Lines] | None:
        """Let the user choose samples: the rows in the order to look at them, and their lines; None if any order will do."""
        return None


@cache
def task_views() -> dict[str, TaskViews]:
    """Return the parts of every task, by its name."""
    return {task: importlib.import_module(f"inspection.{task}.views.shared").SHARED for task in all_kinds()}
