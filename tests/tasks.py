"""The tasks that are there, and the parts of the tests that each of them brings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from project.tasks import TASKS

HERE = Path(__file__).parent


def modules(name: str) -> list[str]:
    """Return the module `tests.<task>.<name>` of each task that has it."""
    return [f"tests.{task}.{name}" for task in TASKS if (HERE / task / f"{name}.py").exists()]


def parts(name: str) -> list[Any]:
    """Import the module `tests.<task>.<name>` of each task that has it."""
    return [import_module(module) for module in modules(name)]
