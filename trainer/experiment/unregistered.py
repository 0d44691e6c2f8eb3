"""Say where a class is that a config names and no registry knows: in a file that fails, undecorated, or where nobody looks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from base import registry
from utils.errors import ROOT

NOT_OURS = {"tests", "benchmarks", "saved", "data", "configs", "docs", "__pycache__"}


def whereabouts(name: str, packages: tuple[str, ...]) -> str:
    """Return a hint on the class `name` of the project's files, as `; …`; an empty text if no file defines it.

    packages: the folders whose modules are searched for registered classes.
    """
    if not name.isidentifier():
        return ""
    other = [one.noun for one in registry.registries() if name in one.classes]
    if other:
        return f"; {name} is a {other[0]}"
    for file, line in _definitions(name):
        return f"; {file}:{line} defines it, but {_reason(Path(file), packages)}"
    return ""


def _reason(file: Path, packages: tuple[str, ...]) -> str:
    """Return why the classes of a file (below the project) are not registered, and what to do."""
    failed = registry.failed.get(".".join(file.with_suffix("").parts))
    if failed is not None:
        return f"cannot be imported ({failed})"
    if file.parts[0] not in packages or len(file.parts) < 2:
        return f"only {', '.join(packages)} are searched: move it there"
    if file.name.startswith("_"):
        return "files whose name begins with _ are not searched: rename it"
    for folder in [file.parent, *file.parents][:-1]:
        if folder.parts and not (Path(ROOT) / folder / "__init__.py").is_file():
            return f"{folder} has no __init__.py, so that it is not searched: add an empty one"
    return "without a decorator: put the one of its registry above it (as @MODELS.register() for a model)"


def _definitions(name: str) -> Iterator[tuple[str, int]]:
    """Yield file, below the project, and line of every class of this name; files that are searched come first."""
    pattern = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for folder, folders, files in os.walk(ROOT):
        inside = [each for each in folders if not each.startswith(".") and each not in NOT_OURS]
        folders[:] = sorted(inside)
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix == ".py" and (match := pattern.search(text := path.read_text("utf-8", errors="replace"))):
                yield path.relative_to(ROOT).as_posix(), text.count("\n", 0, match.start()) + 1
