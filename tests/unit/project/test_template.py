"""What a project takes of its template: the files that git tracks, for its tasks, and nothing that a user made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from project import git, template
from project.template import DEMOS
from utils.errors import UserError

MADE = [
    "out/x.onnx",
    "data/masks/a.jpg",
    "saved/models/a/last.pth",
    "notes.txt",
    "base/scratch.py",
    "run.log",
    "base/__pycache__/a.pyc",
]
FILES = {
    "new_project.py": "",
    "README.md": f"# Laurel\n\nconfigs/{DEMOS[0]}\n<!-- task: detection -->\nBoxes.\n<!-- end -->\n",
    "pyproject.toml": '[project]\nname = "laurel"\nversion = "0.7.0"\n',
    "Makefile": f"DEMO := configs/{DEMOS[0]}\n",
    ".gitignore": "out/\ndata/\nsaved/\n__pycache__/\n*.py[cod]\n*.log\n",
    ".ci/run": "make test\n",
    "base/part.py": "",
    "data_loader/attributes/loader.py": "class FirstLoader:\n    pass\n",
    "data_loader/verification/loader.py": "class SecondLoader:\n    pass\n",
    "docs/tasks/verification.md": "# Faces\n",
    f"configs/{DEMOS[0]}": '{"data_loader": {"type": "FirstLoader"}}',
    f"configs/{DEMOS[1]}": '{"data_loader": {"type": "SecondLoader"}}',
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A template of two tasks in a folder with a space in its name, and beside its files things that a user made."""
    root = tmp_path / "a template"
    for name in [*FILES, *MADE]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(FILES.get(name, "made by a user"))
    return root


def commit(root: Path) -> None:
    """Make a checkout of the template, in which the user's things are ignored or unknown."""
    git.ask(root, "init", "--quiet")
    git.ask(root, "add", "--", *FILES)
    git.ask(root, "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "-m", "All")


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(not git.there(), reason="git is not installed")
def test_of_a_checkout_it_takes_what_git_tracks(small: Path, tmp_path: Path) -> None:
    commit(small)
    template.make(tmp_path / "new", "new", ["attributes", "verification"], small)
    assert below(tmp_path / "new") == {*FILES, template.RECORD} - {".ci/run"}


def test_of_a_folder_that_is_no_checkout_it_takes_what_gitignore_does_not_name(small: Path, tmp_path: Path) -> None:
    template.make(tmp_path / "new", "new", ["attributes", "verification"], small)
    known = {"notes.txt", "base/scratch.py"}  # without git nothing tells these from the template's
    assert below(tmp_path / "new") == {*FILES, template.RECORD, *known} - {".ci/run"}


@pytest.mark.skipif(not git.there(), reason="git is not installed")
def test_a_template_copied_into_another_repository_is_no_checkout(small: Path, tmp_path: Path) -> None:
    git.ask(tmp_path, "init", "--quiet")
    assert "base/part.py" in template.files_of(small)
    assert git.head(small) is None


def test_a_file_that_is_tracked_and_gone_is_left_out(small: Path) -> None:
    commit(small)
    (small / "base/part.py").unlink()
    assert "base/part.py" not in template.files_of(small)


def test_a_task_that_is_not_wanted_is_not_in_files_configs_docs_and_readme(small: Path, tmp_path: Path) -> None:
    template.make(tmp_path / "new", "my-task", ["verification"], small)
    there = below(tmp_path / "new")
    assert not there & {"data_loader/attributes/loader.py", f"configs/{DEMOS[0]}"}
    assert {"data_loader/verification/loader.py", f"configs/{DEMOS[1]}", "docs/tasks/verification.md"} <= there
    assert (tmp_path / "new/README.md").read_text() == f"# my-task\n\nconfigs/{DEMOS[1]}\n"
    assert (tmp_path / "new/Makefile").read_text() == f"DEMO := configs/{DEMOS[1]}\n"
    assert 'name = "my-task"' in (tmp_path / "new/pyproject.toml").read_text()


def test_a_project_knows_its_name_its_tasks_and_its_version(small: Path, tmp_path: Path) -> None:
    template.make(tmp_path / "new", "my-task", ["verification"], small)
    assert template.read_record(tmp_path / "new") == {"name": "my-task", "tasks": ["verification"], "version": "0.7.0"}


def test_a_task_that_the_template_lacks_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--tasks: .* has no detection; it has attributes, verification"):
        template.make(tmp_path / "new", "new", ["detection"], small)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "a"}', "\0"])
def test_a_damaged_record_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / template.RECORD).write_text(text)
    with pytest.raises(UserError, match="only a project that new_project.py made has it"):
        template.read_record(tmp_path)


def test_the_first_history_has_the_files_on_the_branch_template_and_work_begins_on_main(small: Path, tmp_path: Path) -> None:
    if not git.there():
        pytest.skip("git is not installed")
    shutil.copytree(small, tmp_path / "new")
    (tmp_path / "new/out").exists()
    git.start(tmp_path / "new", "Start")
    assert git.ask(tmp_path / "new", "symbolic-ref", "--short", "HEAD") == git.WORK
    heads = {git.ask(tmp_path / "new", "rev-parse", branch) for branch in (git.WORK, git.TEMPLATE, "HEAD")}
    assert len(heads) == 1
    assert git.ask(tmp_path / "new", "status", "--porcelain") == ""
    assert set(git.tracked(tmp_path / "new")) == below(small)


def test_the_record_is_a_file_that_people_can_read(small: Path, tmp_path: Path) -> None:
    template.make(tmp_path / "new", "new", ["attributes"], small)
    record = json.loads((tmp_path / "new" / template.RECORD).read_text())
    assert list(record) == ["name", "tasks", "version", "commit"]
