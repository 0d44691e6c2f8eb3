"""Make a project from this template's files, for all or some of its tasks, without data, runs and history.

The files are those that git tracks; if the template is not a git checkout, those that .gitignore does not name.
"""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from project import git, template
from project.tasks import TASKS, with_required
from project.update import message
from utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("folder", type=Path, help="where the new project goes; must not exist, or be empty")
    parser.add_argument("--tasks", help=f"what it is for, with commas between: {','.join(TASKS)} (default: all)")
    parser.add_argument("--name", help="its name: letters, digits, - and _ (default: the folder's)")
    parser.add_argument("--files-only", action="store_true", help="begin no git history")


def main(args: argparse.Namespace) -> int:
    """Make the project, and print the next commands; return the exit status. Raises UserError if it cannot be written."""
    target = args.folder.resolve()
    name = args.name or target.name
    _require_usable(target, name)
    asked = [task.strip() for task in args.tasks.split(",")] if args.tasks is not None else template.tasks_here()
    tasks = with_required(asked)
    for task in sorted(set(tasks) - set(asked)):
        print(f"{task} comes along: {', '.join(asked)} needs it")
    try:
        template.make(target, name, tasks)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error})") from None
    fresh = tasks == template.tasks_here() or template.generate(target)
    if not args.files_only and git.there():
        git.start(target, message("Start from", template.version()))
    elif not args.files_only:
        print("git: is not installed; without it the project has no history, and cannot take later versions of the template")
    print(f"{target}: ready, for {', '.join(tasks)}. Next:")
    for command in (f"cd {shlex.quote(str(target))}", "make train", "make test"):
        print(f"  {command}")
    if not fresh:
        print("  python laurel.py schema   # with the packages there; until then configs/schema.json still has all tasks")
    print("Then describe your data in a config; README.md says how.")
    return 0


def _require_usable(target: Path, name: str) -> None:
    """Raise UserError if a project cannot have the folder or the name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UserError(f"{name!r}: is no name for a project; allowed: letters, digits, - and _ (set --name)")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: exists and is not empty; choose another folder")
    if target.is_relative_to(template.ROOT):
        raise UserError(f"{target}: is inside the template itself; choose a folder beside it, e.g. ../{name}")
