"""Files and functions stay short enough to read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.guards.sources import relative, scripts, sources, tree

FILE_LINES, FUNCTION_LINES = 400, 60


@pytest.mark.parametrize("path", [*sources(), *sources("tests", "benchmarks"), *scripts()], ids=relative)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", [*sources(), *scripts()], ids=relative)
def test_a_function_has_at_most_60_lines(path: Path) -> None:
    assert [name for name, lines in functions(tree(path)) if lines > FUNCTION_LINES] == []


def functions(module: ast.Module) -> list[tuple[str, int]]:
    """Name and number of lines of every function and method."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in ast.walk(module) if isinstance(node, kinds)]
