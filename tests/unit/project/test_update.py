"""A later version of the template comes into a project as a merge, and nothing of the user's is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import git, update
from project.template import RECORD
from utils.errors import UserError

pytestmark = pytest.mark.skipif(not git.there(), reason="git is not installed")

# Stands for the template's own new_project.py: its files, without the sources of the real one.
NEW_PROJECT = f"""
import json, shutil, sys
from pathlib import Path
words = dict(zip(sys.argv[1:-1:2], sys.argv[2:-1:2]))
target = Path(sys.argv[-1])
shutil.copytree(Path(__file__).parent / "files", target)
record = {{"name": words["--name"], "tasks": words["--tasks"].split(","), "version": (target / "version").read_text()}}
(target / {RECORD!r}).write_text(json.dumps(record))
"""
LINES = "".join(f"line {number}\n" for number in range(20))


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which git knows no user, and would sign commits."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")) or name == "EMAIL"]:
        monkeypatch.delenv(name)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A template, of which `files` is what a project gets."""
    folder = tmp_path / "template"
    (folder / "files").mkdir(parents=True)
    (folder / "new_project.py").write_text(NEW_PROJECT)
    for name, text in {"version": "1", "shared.py": LINES, "old.py": "old\n", "kept.py": "kept\n"}.items():
        (folder / "files" / name).write_text(text)
    return folder


@pytest.fixture
def project(newer: Path, tmp_path: Path) -> Path:
    """A project made from the template, with a file of the user's own."""
    folder = tmp_path / "a project"
    words = [sys.executable, newer / "new_project.py", "--tasks", "attributes", "--name", "mine", "--files-only", folder]
    subprocess.run(words, check=True)
    git.start(folder, update.message("Start from", "1"))
    change(folder, "own.py", "mine\n")
    return folder


def change(project: Path, name: str, text: str | None) -> None:
    """Commit what the user makes of a file; None deletes it."""
    (project / name).unlink() if text is None else (project / name).write_text(text)
    git.ask(project, "add", "--all")
    git.ask(project, "-c", "user.name=me", "-c", "user.email=me@x", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "Mine")


def release(newer: Path, changes: dict[str, str | None]) -> None:
    """Make the next version of the template."""
    for name, text in {"version": "2", **changes}.items():
        (newer / "files" / name).unlink() if text is None else (newer / "files" / name).write_text(text)


def texts(project: Path) -> dict[str, str]:
    """Return the text of every file of the working tree."""
    paths = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(project).as_posix(): path.read_text() for path in paths}


def test_changes_of_both_in_one_file_are_joined(project: Path, newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(project, "shared.py", LINES.replace("line 2\n", "mine\n"))
    release(newer, {"shared.py": LINES.replace("line 17\n", "theirs\n")})
    assert update.update(project, newer) == 0
    assert (project / "shared.py").read_text() == LINES.replace("line 2\n", "mine\n").replace("line 17\n", "theirs\n")
    assert git.ask(project, "status", "--porcelain") == ""
    assert "main: has Laurel 2" in capsys.readouterr().out


def test_a_conflict_is_shown_as_git_shows_it_and_can_be_taken_back(
    project: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project, "shared.py", LINES.replace("line 2\n", "mine\n"))
    before = texts(project)
    release(newer, {"shared.py": LINES.replace("line 2\n", "theirs\n"), "kept.py": "newer\n"})
    assert update.update(project, newer) == 1
    said = capsys.readouterr().out
    assert "CONFLICT (content): Merge conflict in shared.py" in said and "main: 1 files have conflicts" in said
    text = (project / "shared.py").read_text()
    assert "<<<<<<< HEAD\nmine\n" in text and "theirs\n>>>>>>> template" in text
    assert (project / "kept.py").read_text() == "newer\n"
    git.ask(project, "merge", "--abort")
    assert texts(project) == before


def test_files_that_the_template_deletes_go_and_those_that_it_adds_come(project: Path, newer: Path) -> None:
    release(newer, {"old.py": None, "new.py": "new\n"})
    assert update.update(project, newer) == 0
    assert set(texts(project)) == {"version", "shared.py", "kept.py", "new.py", "own.py", RECORD}


def test_a_deleted_file_that_the_user_changed_is_a_conflict_and_stays(project: Path, newer: Path) -> None:
    change(project, "old.py", "old and mine\n")
    release(newer, {"old.py": None})
    assert update.update(project, newer) == 1
    assert (project / "old.py").read_text() == "old and mine\n"


def test_a_file_that_the_user_deleted_stays_away(project: Path, newer: Path) -> None:
    change(project, "old.py", None)
    release(newer, {"shared.py": "other\n"})
    assert update.update(project, newer) == 0
    assert "old.py" not in texts(project)


def test_what_git_does_not_know_is_left_alone(project: Path, newer: Path) -> None:
    (project / "notes.txt").write_text("mine")
    release(newer, {"new.py": "new\n"})
    assert update.update(project, newer) == 0
    assert (project / "notes.txt").read_text() == "mine"


def test_an_unknown_file_in_the_way_is_kept_and_the_update_can_be_made_again(
    project: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "new.py").write_text("mine")
    release(newer, {"new.py": "theirs\n"})
    assert update.update(project, newer) == 1
    assert "untracked working tree files would be overwritten" in capsys.readouterr().out
    assert (project / "new.py").read_text() == "mine"
    (project / "new.py").unlink()
    assert update.update(project, newer) == 0
    assert (project / "new.py").read_text() == "theirs\n"


def test_a_generated_file_that_both_changed_stays_as_it_is_in_the_project(project: Path, newer: Path) -> None:
    for folder in (project, newer / "files"):
        (folder / "docs").mkdir()
    change(project, "docs/config.md", "mine\n")
    release(newer, {"docs/config.md": "theirs\n", "shared.py": "other\n"})
    assert update.update(project, newer) == 0
    assert (project / "docs/config.md").read_text() == "mine\n"
    assert (project / "shared.py").read_text() == "other\n"
    assert git.ask(project, "status", "--porcelain") == ""


def test_an_update_to_the_same_version_changes_nothing(project: Path, newer: Path) -> None:
    head = git.head(project)
    assert update.update(project, newer) == 0
    assert git.head(project) == head


def test_a_second_update_brings_only_what_came_since(project: Path, newer: Path) -> None:
    release(newer, {"shared.py": "two\n"})
    assert update.update(project, newer) == 0
    change(project, "shared.py", "mine\n")
    release(newer, {"kept.py": "three\n"})
    assert update.update(project, newer) == 0
    assert (project / "shared.py").read_text() == "mine\n"


def test_a_clone_without_the_branch_of_the_template_finds_its_newest_commit(project: Path, newer: Path, tmp_path: Path) -> None:
    release(newer, {"shared.py": "two\n"})
    assert update.update(project, newer) == 0
    git.ask(tmp_path, "clone", "--quiet", "--single-branch", "--branch", git.WORK, str(project), "clone")
    change(tmp_path / "clone", "shared.py", "mine\n")
    release(newer, {"kept.py": "three\n"})
    assert update.update(tmp_path / "clone", newer) == 0
    assert (tmp_path / "clone/shared.py").read_text() == "mine\n"


def test_the_commits_are_unsigned_and_need_no_user(project: Path, newer: Path) -> None:
    release(newer, {"new.py": "new\n"})
    change(project, "kept.py", "mine\n")
    assert update.update(project, newer) == 0
    assert git.ask(project, "log", "-1", "--format=%an %G? %s") == "Laurel N Merge branch 'template'"


# Refusals -----------------------------------------------------------------------------------------------------------


def refused(project: Path, template: Path) -> str:
    """Return the line that refuses an update, which then has changed nothing."""
    before, head = texts(project), git.head(project)
    with pytest.raises(UserError) as error:
        update.update(project, template)
    assert (texts(project), git.head(project)) == (before, head)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_changes_that_are_not_committed_are_refused(project: Path, newer: Path) -> None:
    (project / "shared.py").write_text("mine\n")
    assert "1 files have changes that are not committed (shared.py); commit them first" in refused(project, newer)


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, newer: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "only a project that new_project.py made has it" in refused(tmp_path / "folder", newer)


def test_a_project_without_a_repository_of_its_own_is_refused(project: Path, newer: Path) -> None:
    shutil.rmtree(project / ".git")
    assert "is not the top of a git repository with a commit" in refused(project, newer)


def test_a_folder_that_is_no_template_is_refused(project: Path, tmp_path: Path) -> None:
    assert "is no template (new_project.py is not there)" in refused(project, tmp_path)


def test_a_template_that_fails_is_refused_with_what_it_says(project: Path, newer: Path) -> None:
    (newer / "new_project.py").write_text("raise SystemExit('--tasks: unknown')")
    assert "new_project.py failed: --tasks: unknown" in refused(project, newer)


@pytest.mark.parametrize("words", [("--quiet", git.TEMPLATE), ("--quiet", "--detach")])
def test_the_branch_of_the_template_and_no_branch_are_refused(project: Path, newer: Path, words: tuple[str, ...]) -> None:
    git.ask(project, "checkout", *words)
    assert "change to the branch of your work (git switch main)" in refused(project, newer)


def test_a_machine_without_git_is_refused(project: Path, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="git: is not installed"):
        update.update(project, newer)
