"""The project's own source files, as text and as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from project.tasks import TASKS as TASKS

ROOT = Path(__file__).parents[2]
PACKAGES = ("utils", "project", "base", "data_loader", "model", "logger", "trainer", "inspection", "commands")
SCRIPTS = ("laurel.py", "train.py", "test.py", "app.py", "new_project.py")


def sources(*packages: str) -> list[Path]:
    """Return the modules of some packages, by default of all."""
    return sorted(path for package in packages or PACKAGES for path in (ROOT / package).rglob("*.py"))


def scripts() -> list[Path]:
    """Return the scripts at the top of the project."""
    return [ROOT / name for name in SCRIPTS if (ROOT / name).exists()]


def relative(path: Path) -> str:
    """Return the path below the project's folder, with /."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), relative(path))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of every import, also in functions and under TYPE_CHECKING; relative imports by their full names."""
    package = relative(path).removesuffix(".py").removesuffix("/__init__").split("/")
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: -node.level] if node.level else []
            yield node.lineno, ".".join([*above, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))
