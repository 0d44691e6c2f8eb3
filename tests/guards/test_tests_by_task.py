"""A test that needs a task is in a folder of the task's name, so that a project without the task does not have the test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from project.tasks import REQUIRES, TASKS, left_out, tasks_of
from project.template import files_of
from tests.guards.sources import ROOT, imported, relative, sources, tree

TESTS = sources("tests", "benchmarks")


@cache
def words() -> dict[str, set[str]]:
    """Return the tasks of each word that only a test of a task may use: a registered class, a config, a fixture.

    A class is told by its name if that has two parts, as `BoxScores`; `Center` is a word like others.
    """
    found: dict[str, set[str]] = {}
    for path in sources():
        for name in re.findall(
            r"^@\w+\.register\(.*\n(?:@.*\n)*class ([A-Z][a-z]+[A-Z]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            found[name] = tasks_of(relative(path))
    names = files_of()
    for task in TASKS:
        for name in left_out(ROOT, names, {task}):
            if name.startswith("configs/"):
                found.setdefault(Path(name).name, set()).add(task)
        for path in (ROOT / "tests" / task).glob("fixtures.py"):
            for name in re.findall(r"^def (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
                found[name] = {task}
    return {word: tasks for word, tasks in found.items() if tasks}


def needed(path: Path) -> Iterator[tuple[int, str, set[str]]]:
    """Yield (line, what, tasks) of everything in a file that is a task's."""
    for line, module in imported(path):
        yield line, module, tasks_of(module.replace(".", "/"))
    prose = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg, words().get(node.arg, set())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            for word in re.findall(r"[\w.]+", node.value):
                yield node.lineno, word, words().get(word, set())


def misplaced(path: Path) -> list[str]:
    """`file:line uses word` for each use of a task's part outside the folders of the task."""
    own = tasks_of(relative(path))
    own |= {required for task in own for required in REQUIRES.get(task, ())}
    return [f"{relative(path)}:{line} uses {what}" for line, what, tasks in needed(path) if tasks - own]


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_a_test_that_needs_a_task_is_in_a_folder_of_its_name(path: Path) -> None:
    assert misplaced(path) == []


@pytest.mark.parametrize(
    "line",
    [
        "def f():\n    import model.{task}.loss",
        "from tests.{task} import helpers",
        "def test_x({fixture}): ...",
        "path = f'{folder}/configs/{config}'",
        "values = {{'type': '{cls}'}}",
    ],
)
def test_a_use_of_a_task_is_seen(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word, tasks = next((word, tasks) for word, tasks in words().items() if word.endswith(".json"))
    task = min(tasks)
    fixture = next(word for word, tasks in words().items() if word.islower() and ".json" not in word)
    cls = next(word for word in words() if word[0].isupper())
    monkeypatch.setattr("tests.guards.sources.ROOT", tmp_path)
    path = tmp_path / "tests" / "test_it.py"
    path.parent.mkdir()
    path.write_text(line.format(task=task, fixture=fixture, config=word, cls=cls, folder="{tmp}"))
    assert len(misplaced(path)) == 1
