"""The kinds of prediction: each task says how its predictions are told from others, and what they say of a submission.

A kind is a module `kind` in the room of a task with a `KIND`. Importing kinds imports neither torch nor streamlit.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pyarrow as pa

from base.contracts import DataSpec

if TYPE_CHECKING:
    from inspection.results import Result
    from inspection.submissions import Submission

Parse = Callable[[str, str], "Submission"]  # of a file's name and text; raises UserError for a text of another form


class BaseKind(ABC):
    """The predictions of one task."""

    task: ClassVar[str]
    formats: ClassVar[Mapping[str, Parse]] = {}  # by suffix of a file name, how a submission in it is read

    @abstractmethod
    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether predictions with these columns are of this task. spec: the classes that they were made for."""

    def corrections(self, result: Result, config: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, str]]]:
        """Return by label the reader's column of it and, by class, the text in that column; empty if there are no labels.

        config: of the run. A label whose texts the config does not tell has none.
        """
        return {}

    def columns(self, section: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the id and answer columns of a CSV submission. section: `submission` of the config, empty if it has none."""
        return None

    def expected(self, result: Result, section: Mapping[str, Any]) -> dict[str, str] | None:
        """Return by key the answer that a submission of these predictions holds; None if this kind cannot tell."""
        return None

    def shares(self, result: Result) -> dict[str, pd.DataFrame]:
        """Return by label a table with the columns class, in training, predicted: shares in [0, 1]; NaN if not known."""
        return {}


@cache
def all_kinds() -> dict[str, BaseKind]:
    """Return the kind of every task that has a room here, by the name of the task."""
    rooms = sorted(path.parent.name for path in Path(__file__).parent.glob("*/kind.py"))
    return {room: importlib.import_module(f"inspection.{room}.kind").KIND for room in rooms}


def kinds_of(schema: pa.Schema, spec: DataSpec) -> list[str]:
    """Return the tasks whose predictions these columns are."""
    return [task for task, kind in all_kinds().items() if kind.recognises(schema, spec)]
