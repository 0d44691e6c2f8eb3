"""The tasks of the template, and the files that belong to each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from utils import config
from utils.errors import UserError

TASKS = ("attributes", "verification", "detection", "pretext")
REQUIRES = {"pretext": {"attributes"}}  # a pretext trains the network of attributes, with its loss and scores

# Marks are lines in Markdown (`<!-- task: detection -->`, `<!-- end -->`) and YAML (`# task: detection`, `# end`). They mark the
# lines between them; a mark at the end of a line marks this line. If a mark names several tasks (`attributes, verification`), its
# lines are kept only if the project has all of them.
_BLOCK = re.compile(r"^(?:<!--|#) task: ([\w, ]+?)(?: -->)?\n.*?^(?:<!--|#) end(?: -->)?\n\n?", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^.*\S +(?:<!--|#) task: ([\w, ]+?)(?: -->)?\n", re.MULTILINE)


def with_required(tasks: Iterable[str]) -> list[str]:
    """Return the tasks and the tasks that they require, in the order of TASKS. Raises UserError if a name is unknown."""
    wanted = set(tasks)
    for name in sorted(wanted - set(TASKS)):
        raise UserError(f'--tasks: found "{name}"{config.did_you_mean(name, TASKS)}; allowed: {", ".join(TASKS)}')
    return [task for task in TASKS if task in wanted.union(*(REQUIRES.get(name, ()) for name in wanted))]


def tasks_of(name: str) -> set[str]:
    """Return the tasks in a file's path: `model/detection/boxes.py` and `docs/tasks/detection.md` belong to detection."""
    return {part.partition(".")[0] for part in PurePosixPath(name).parts} & set(TASKS)


def left_out(root: Path, names: Collection[str], unwanted: set[str]) -> set[str]:
    """Return the names of the files below `root` that a project without the unwanted tasks does not have.

    These are the folders and pages of the unwanted tasks, the configs that name one of their classes, and the configs that
    extend or stage one of those configs.
    """
    rooms = {name for name in names if tasks_of(name) & unwanted}
    gone = _classes(root, rooms) - _classes(root, set(names) - rooms)
    configs = [name for name in names if PurePosixPath(name).match("*.json") and name.startswith("configs/")]
    return rooms | {name for name in configs if not name.endswith("/schema.json") and not gone.isdisjoint(_types(root / name))}


def keep_marked(text: str, unwanted: set[str]) -> str:
    """Return the text without the marked blocks and lines of unwanted tasks."""

    def kept(match: re.Match[str]) -> str:
        return match[0] if unwanted.isdisjoint(named(match[1])) else ""

    return _LINE.sub(kept, _BLOCK.sub(kept, text))


def marked(text: str) -> list[set[str]]:
    """Return the set of tasks of each mark in a text."""
    return [named(match[1]) for pattern in (_BLOCK, _LINE) for match in pattern.finditer(text)]


def named(mark: str) -> set[str]:
    """Return the tasks that a mark names: two for `attributes, verification`."""
    return {name.strip() for name in mark.split(",")}


def _classes(root: Path, names: Iterable[str]) -> set[str]:
    sources = [name for name in names if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/"))]
    texts = [(root / name).read_text(encoding="utf-8") for name in sources]
    return {cls for text in texts for cls in re.findall(r"^class (\w+)", text, re.MULTILINE)}


def _types(path: Path) -> set[str]:
    """Return the class names in a config, in the configs that it extends, and in the configs that it stages."""
    values = config.read(path).values
    stages = values.get("stages") or []
    others = [*config.parents(path), *(path.parent / stage["config"] for stage in stages)]
    return {*_named_types(values)}.union(*(_types(other) for other in others))


def _named_types(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _named_types(item)
