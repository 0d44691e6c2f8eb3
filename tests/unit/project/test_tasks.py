"""Which files and which lines of text belong to which task."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from project.tasks import TASKS, keep_marked, left_out, marked, tasks_of, with_required
from project.template import files_of
from tests.shipped import ROOT
from utils.errors import UserError

TEXT = """# Title

<!-- task: detection -->
Boxes.

```python
x = 1
```
<!-- end -->

| a | b |
|---|---|
| faces | x | <!-- task: verification -->
| masks | y |
| both | z | <!-- task: attributes, verification -->

The end.
"""


def write(folder: Path, files: dict[str, object]) -> list[str]:
    """Write files, JSON if they are no text; return their names."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return list(files)


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("model/detection/boxes.py", {"detection"}),
        ("docs/tasks/detection.md", {"detection"}),
        ("tests/integration/attributes/verification/test_x.py", {"attributes", "verification"}),
        ("model/views.py", set()),
        ("tests/unit/test_detection_speed.py", set()),
    ],
)
def test_a_file_serves_the_tasks_in_its_path(name: str, tasks: set[str]) -> None:
    assert tasks_of(name) == tasks


def test_what_a_task_requires_comes_with_it_in_one_order() -> None:
    assert with_required(["pretext", "detection"]) == ["attributes", "detection", "pretext"]
    assert with_required(["verification"]) == ["verification"]


def test_an_unknown_task_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r'^--tasks: found "detecton" \(did you mean "detection"\?\); allowed: attributes, '):
        with_required(["detecton"])


def test_a_config_goes_with_a_task_whose_class_it_names_itself_or_through_what_it_extends_or_stages(tmp_path: Path) -> None:
    names = write(
        tmp_path,
        {
            "model/detection/heads.py": "class Detector:\n    pass\n\n\nclass Shared:\n    pass\n",
            "model/shared.py": "class Shared:\n    pass\n",
            "configs/boxes.json": {"arch": {"type": "Detector"}},
            "configs/more.json": {"extends": "boxes.json", "arch": {"type": "Other"}},
            "configs/staged.json": {"stages": [{"name": "a", "config": "more.json"}]},
            "configs/deep.json": {"list": [{"of": {"type": "Detector"}}]},
            "configs/faces.json": {"arch": {"type": "Shared"}, "note": "Detector"},
            "configs/schema.json": {"type": "Detector"},
        },
    )
    wanted = ["model/detection/heads.py", "configs/boxes.json", "configs/more.json", "configs/staged.json", "configs/deep.json"]
    assert left_out(tmp_path, names, {"detection"}) == set(wanted)
    assert left_out(tmp_path, names, set()) == set()


def test_marked_blocks_and_lines_of_unwanted_tasks_go_with_the_empty_line_behind_them() -> None:
    text = keep_marked(TEXT, {"detection", "verification"})
    assert text == "# Title\n\n| a | b |\n|---|---|\n| masks | y |\n\nThe end.\n"


def test_a_mark_with_several_tasks_needs_all_of_them() -> None:
    assert "both" not in keep_marked(TEXT, {"attributes"})
    assert keep_marked(TEXT, {"pretext"}) == TEXT


def test_yaml_is_marked_by_comments() -> None:
    text = "nav:\n# task: detection\n- docs/tasks/detection.md\n# end\n- faces.md # task: verification\n- docs/config.md\n"
    assert keep_marked(text, {"detection", "verification"}) == "nav:\n- docs/config.md\n"


@pytest.mark.parametrize("name", [name for name in files_of() if name.endswith((".md", ".yml", ".yaml"))])
def test_every_mark_of_the_project_has_its_end_and_names_tasks(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    marks = marked(text)
    assert set().union(*marks) <= set(TASKS)
    lines = text.splitlines()
    begin, end = (sum(line.startswith(mark) for line in lines) for mark in ("<!-- task: ", "<!-- end -->"))
    ended = sum(re.search(r"\S +<!-- task: [^>]*-->$", line) is not None for line in lines)
    assert (begin, begin + ended) == (end, len(marks))
