"""The record of a group on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from base.saved.group import FOLDS, STAGES, Group
from base.saved.run_folder import RunFolder
from utils.errors import UserError

ENTRY: dict[str, Any] = {"config": {"name": "x"}, "start": {"after": None}}


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Two folds of two stages, none begun."""
    names = ("fold0/one", "fold0/two", "fold1/one", "fold1/two")
    return Group.create(tmp_path, "faces", FOLDS, dict.fromkeys(names, ENTRY))


def begin(group: Group, name: str, status: str = "running") -> Path:
    """The folder of a run that is recorded for a member."""
    run = RunFolder.create(group.folder.parents[1].parent, name.replace("/", "-"))
    run.set_status(status)
    group.record(name, run.models)
    return run.models


def test_a_new_record_is_read_as_it_was_written(group: Group, tmp_path: Path) -> None:
    again = Group(group.folder)
    assert group.folder.parent == tmp_path / "models" / "faces"
    assert (again.kind, list(again.members)) == (FOLDS, ["fold0/one", "fold0/two", "fold1/one", "fold1/two"])
    assert again.members["fold0/one"] == {**ENTRY, "run": None}


def test_a_run_that_has_begun_is_kept_by_its_place_beside_the_group(group: Group) -> None:
    models = begin(group, "fold0/one")
    assert Group(group.folder).run("fold0/one") == models
    assert not os.path.isabs(json.loads((group.folder / "group.json").read_text())["members"]["fold0/one"]["run"])
    assert Group(group.folder).run("fold0/two") is None


def test_a_group_that_was_moved_with_its_runs_finds_them(group: Group, tmp_path: Path) -> None:
    models = begin(group, "fold0/one")
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    moved = Group(tmp_path / "elsewhere" / "faces" / group.folder.name)
    assert moved.run("fold0/one") == tmp_path / "elsewhere" / "fold0-one" / models.name


def test_a_run_that_has_not_begun_is_named(group: Group) -> None:
    with pytest.raises(UserError, match="fold1/two has not begun; train the group first"):
        group.required_run("fold1/two")


def test_the_last_of_members_that_follow_each_other_is_final(group: Group) -> None:
    assert group.finals() == {"fold0": "fold0/two", "fold1": "fold1/two"}


def test_it_is_done_when_all_runs_are_finished_and_the_conclusion_is_written(tmp_path: Path) -> None:
    group = Group.create(tmp_path, "x", STAGES, {"one": ENTRY, "two": ENTRY})
    begin(group, "one", "finished")
    RunFolder.at(group.folder).set_status("finished")
    assert group.finished("one") and not group.finished("two") and not group.done
    begin(group, "two", "early stop")
    assert group.done
    RunFolder.at(group.folder).set_status("running")
    assert not group.done


def test_a_group_of_another_process_cannot_be_claimed(group: Group) -> None:
    with group.claim():
        child = os.fork()
        if child == 0:
            try:
                Group(group.folder).claim()
            except UserError as error:
                os._exit(0 if "another process is training this group" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    group.claim().close()


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[1]", "3", "{}", '{"kind": "folds"}', '{"kind": "folds", "members": {}}', '{"kind": "folds", "members": [1]}',
        '{"kind": "folds", "members": {"a": 1}}', '{"kind": "folds", "members": {"a": {"config": {}, "start": {}}}}',
        '{"kind": "folds", "members": {"a": {"config": {}, "start": {}, "run": 3}}}',
        '{"kind": "folds", "members": {"a": {"config": 1, "start": {}, "run": null}}}',
        '{"kind": "twins", "members": {"a": {"config": {}, "start": {}, "run": null}}}',
        '{"kind": [], "members": {"a": {"config": {}, "start": {}, "run": null}}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "group.json").write_text(content)
    with pytest.raises(UserError, match="group.json: is damaged .*; start a new group without -r") as refused:
        Group(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="group.json: cannot be read"):
        Group(tmp_path)
