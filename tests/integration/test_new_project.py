"""A project with one task has that task and nothing of the others; its configs hold and its own tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from project.tasks import TASKS, tasks_of, with_required
from project.template import files_of, tasks_here, version
from tests.helpers import ROOT

# These tests of the new project run; all others are collected, which imports every module of its tests.
QUICK = "test_import_direction or test_tests_by_task or test_schema_fresh or test_registry_reachable or test_tasks"
CHECK_ALL = """
from tests.shipped import CONFIGS, STAGED
from trainer.experiment import checking, stages
from utils import config
for path in CONFIGS:
    checking.check(config.read(path))
for path in STAGED:
    stages.members(config.read(path), [])
print(len(CONFIGS))
"""


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, without this project's modules."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module", params=tasks_here())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str]:
    """A task, the project for it, in a folder with a space in its path, and what the command printed."""
    folder = tmp_path_factory.mktemp("a place") / "mine"
    done = python(ROOT, "new_project.py", "--tasks", request.param, str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    return request.param, folder, done.stdout


def test_it_has_the_files_of_its_tasks_alone(made: tuple[str, Path, str]) -> None:
    task, folder, _ = made
    names = files_of(folder)
    assert set().union(*map(tasks_of, names)) == set(with_required([task]))
    assert {name for name in files_of() if not tasks_of(name) and not name.startswith("configs/")} <= set(names)


def test_the_commands_that_come_next_can_be_pasted(made: tuple[str, Path, str]) -> None:
    task, folder, said = made
    assert f"\n  cd '{folder}'\n  make train\n  make test\n" in said
    assert ("attributes comes along" in said) == (task == "pretext")
    demo = (folder / "Makefile").read_text().partition("DEMO := ")[2].splitlines()[0]
    assert (folder / demo).is_file()


def test_all_configs_of_a_new_project_are_valid(made: tuple[str, Path, str]) -> None:
    done = python(made[1], "-c", CHECK_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_its_own_tests_are_collected_and_the_quick_ones_pass(made: tuple[str, Path, str]) -> None:
    done = python(made[1], "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", QUICK, "tests")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_its_history_has_all_its_files_and_nothing_is_left_to_commit(made: tuple[str, Path, str]) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=made[1], capture_output=True, text=True, check=True).stdout

    assert git("status", "--porcelain") == ""
    assert git("for-each-ref", "--format=%(refname:short)").split() == ["main", "template"]
    assert git("log", "--format=%s") == f"Start from Laurel {version()}\n"


# The command line ---------------------------------------------------------------------------------------------------


def refused(*words: str) -> str:
    """Return the one line that refuses the command line."""
    done = python(ROOT, "new_project.py", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


def test_a_new_project_is_not_made_in_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    assert "not empty" in refused(str(tmp_path))
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_an_unknown_task_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    assert f"allowed: {', '.join(TASKS)}" in refused("--tasks", "boxes", str(tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


def test_a_folder_within_the_template_is_refused() -> None:
    assert "is inside the template itself" in refused(str(ROOT / "mine"))
