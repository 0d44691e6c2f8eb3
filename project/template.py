"""The files of this template, and how to make a new project from them."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from project import git
from project.tasks import TASKS, keep_marked, left_out, tasks_of, with_required
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RECORD = ".laurel.json"  # in a project: its name, its tasks and the version of its template
GENERATED = ("configs/schema.json", "docs/config.md")
OWN = (".ci/", RECORD)  # files of the template that a project does not have
DEMOS = ("demo.json", "verify_demo.json", "demo_drivers.json", "examples/rotation.json")  # `make train` takes the first


def files_of(root: Path = ROOT) -> list[str]:
    """Return the paths of the template's files below `root`: tracked by git, else not named by .gitignore."""
    tracked = git.tracked(root)
    names = tracked if "new_project.py" in tracked else _not_ignored(root)
    return sorted(name for name in names if not name.startswith(OWN) and (root / name).is_file())


def tasks_here(root: Path = ROOT) -> list[str]:
    """Return the tasks that the template has."""
    there = set().union(*(tasks_of(name) for name in files_of(root) if name.startswith("data_loader/")))
    return [task for task in TASKS if task in there]


def make(target: Path, name: str, tasks: list[str], root: Path = ROOT) -> None:
    """Write the files of a project with these tasks, and the tasks that they require, into `target`.

    Raises UserError if the template lacks a task, and OSError if a file cannot be read or written.
    """
    tasks = with_required(tasks)
    if missing := [task for task in tasks if task not in tasks_here(root)]:
        raise UserError(f"--tasks: {root} has no {missing[0]}; it has {', '.join(tasks_here(root))}")
    names, unwanted = files_of(root), set(TASKS) - set(tasks)
    names = sorted(set(names) - left_out(root, names, unwanted))
    for file in names:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / file, target / file)
    for file in names:
        if file.endswith((".md", ".yml", ".yaml")):
            _edit(target / file, lambda text: keep_marked(text, unwanted))
    demo = "configs/" + next(demo for demo in DEMOS if f"configs/{demo}" in names)
    title = re.compile(r"^# .*")
    _edit(target / "README.md", lambda text: title.sub(f"# {name}", text, count=1).replace(f"configs/{DEMOS[0]}", demo))
    _edit(target / "Makefile", lambda text: re.sub(r"configs/\S+\.json", demo, text, count=1))
    _edit(target / "pyproject.toml", lambda text: re.sub(r'(?<=\nname = ").*(?=")', name, text, count=1))
    record = {"name": name, "tasks": tasks, "version": version(root), "commit": git.head(root)}
    (target / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """Return name, tasks and version of the project in `folder`. Raises UserError if it is not a project made from a template."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {"name": str(record["name"]), "tasks": list(map(str, record["tasks"])), "version": str(record["version"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{folder / RECORD}: is not there or is damaged; only a project that new_project.py made has it"
        ) from None


def version(root: Path = ROOT) -> str:
    """Return the version of the template; "?" if pyproject.toml has none."""
    match = re.search(r'^version = "(.*)"', (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "?"


def generate(folder: Path) -> bool:
    """Write the schema and the reference for the parts that a project has; return False if that fails or packages are missing."""
    if not all(importlib.util.find_spec(package) for package in ("torch", "pydantic", "albumentations", "timm")):
        return False
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    code = (
        "from trainer.experiment import schema\nfor path, text in schema.texts().items(): path.write_text(text, encoding='utf-8')"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment).returncode == 0


def _edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def _not_ignored(root: Path) -> Iterator[str]:
    """Yield every file that .gitignore does not name. `folder/` and `*.suffix` match at any depth, `a/b` from the top."""
    lines = (root / ".gitignore").read_text(encoding="utf-8").split() if (root / ".gitignore").exists() else []
    patterns = [".git", *(line.strip("/") for line in lines if not line.startswith("#"))]
    for folder, folders, files in os.walk(root):
        place = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _matches(place / name, patterns)]
        yield from ((place / name).as_posix() for name in files if not _matches(place / name, patterns))


def _matches(path: Path, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(path.as_posix() if "/" in pattern else path.name, pattern) for pattern in patterns)
