"""The parts of a task on the pages that all tasks share: an object `SHARED` in the module `shared` of the task's views."""

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

Score = Callable[[dict[str, Any]], "Tensor"]  # from the prediction of one sample to a scalar; raises UserError if there is none
Lines = Callable[[int], list[str]]  # from a row to the lines of text shown below its picture


class TaskViews(ABC):
    """The parts of one task on the shared pages."""

    @abstractmethod
    def show(self, said: Answer, picture: np.ndarray, spec: DataSpec) -> None:
        """Show a model's answer to a picture. picture: (H, W, 3) uint8 RGB."""

    @abstractmethod
    def score(self, said: Answer, spec: DataSpec, key: str) -> Score:
        """Return the score that the map of the picture explains. key: of the box in which the user chooses the score."""

    def rows(self, result: Result) -> tuple[np.ndarray, Lines] | None:
        """Let the user choose samples; return their rows, (n,) integers, in order, and their lines; None if any order is good."""
        return None


@cache
def task_views() -> dict[str, TaskViews]:
    """Return task -> its parts."""
    return {task: importlib.import_module(f"inspection.{task}.views.shared").SHARED for task in all_kinds()}
