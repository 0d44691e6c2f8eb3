"""The git commands that projects need: list tracked files, begin a history, commit a folder's files, merge a branch."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from utils.errors import UserError

TEMPLATE, WORK = "template", "main"  # the branches of a project: the unchanged files of the template, and the user's work
TRAILER = "Laurel-Template"  # in the messages of commits on `template`
_IDENTITY = ("-c", "user.name=Laurel", "-c", "user.email=laurel@localhost")
_UNSIGNED = ("-c", "commit.gpgsign=false")
_SET_BY_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def there() -> bool:
    """Return whether git is installed."""
    return shutil.which("git") is not None


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder; return its status and output. environment: variables to set."""
    inherited = {name: value for name, value in os.environ.items() if name not in _SET_BY_HOOKS}
    return subprocess.run(["git", *words], cwd=folder, env=inherited | environment, capture_output=True, text=True)


def ask(folder: Path, *words: str, **environment: str) -> str:
    """Run git in a folder; return its output. Raises UserError if git fails."""
    done = run(folder, *words, **environment)
    if done.returncode:
        raise UserError(f"{folder}: git failed: {' '.join(done.stderr.split()) or f'status {done.returncode}'}")
    return done.stdout.strip()


def tracked(folder: Path) -> list[str]:
    """Return the files that git tracks below a folder; an empty list if it is not a checkout, or git is not installed."""
    done = run(folder, "ls-files", "-z") if there() else None
    return done.stdout.split("\0")[:-1] if done and not done.returncode else []


def head(folder: Path) -> str | None:
    """Return the current commit of a checkout; None if the folder is not the top folder of a checkout."""
    done = run(folder, "rev-parse", "HEAD", "--show-toplevel") if there() else None
    lines = done.stdout.splitlines() if done and not done.returncode else []
    return lines[0] if lines and Path(lines[1]) == folder else None


def start(folder: Path, message: str) -> None:
    """Begin a history in a folder: commit all its files on the branch `template`, and start `main` at that commit."""
    ask(folder, "init", "--quiet")
    ask(folder, "update-ref", f"refs/heads/{TEMPLATE}", commit_of(folder, folder, message))
    ask(folder, "symbolic-ref", "HEAD", f"refs/heads/{WORK}")
    ask(folder, "reset", "--quiet", "--hard", TEMPLATE)


def commit_of(repository: Path, files: Path, message: str, parent: str | None = None) -> str:
    """Commit all files of a folder on no branch; return the commit's hash. The repository's own files stay as they are."""
    place = ask(repository, "rev-parse", "--absolute-git-dir")
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_DIR": place, "GIT_WORK_TREE": str(files), "GIT_INDEX_FILE": str(Path(folder) / "index")}
        ask(files, "add", "--all", "--force", ".", **index)
        tree = ask(files, "write-tree", **index)
    parents = ("-p", parent) if parent else ()
    return ask(repository, *_IDENTITY, *_UNSIGNED, "commit-tree", tree, *parents, "-m", message)


def merge(repository: Path, branch: str) -> subprocess.CompletedProcess[str]:
    """Merge a branch into the current branch, as the user if git has the user's name; return git's status and output."""
    return run(repository, *_user(repository), *_UNSIGNED, "merge", "--no-edit", branch)


def conclude(repository: Path) -> None:
    """Commit a merge whose conflicts are resolved. Raises UserError if git fails."""
    ask(repository, *_user(repository), *_UNSIGNED, "commit", "--quiet", "--no-edit")


def _user(repository: Path) -> tuple[str, ...]:
    return () if run(repository, "config", "user.email").stdout.strip() else _IDENTITY
