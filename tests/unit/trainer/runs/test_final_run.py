"""The run that stands for a group where one model is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.run_folder import GROUP
from trainer.experiment.group import final_run
from utils import files
from utils.errors import UserError


def write_group(saved: Path, *statuses: str, kind: str = "stages") -> Path:
    """A group of the members `one`, `two`, …; an empty status for one that has not begun."""
    folder = saved / "models/both/20260101-000000-0000"
    members = {}
    for name, status in zip(("one", "two"), statuses, strict=True):
        if status:
            files.write_json(saved / f"models/both-{name}/run/status.json", {"status": status})
        members[name] = {"config": {}, "start": {}, "run": f"../../both-{name}/run" if status else None}
    files.write_json(folder / GROUP, {"kind": kind, "members": members})
    return folder


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("both/20260101-000000-0000", "both-one/run", "both-two/run"):
        (tmp_path / "models" / name).mkdir(parents=True)


def test_it_is_that_of_the_last_stage(tmp_path: Path) -> None:
    assert final_run(write_group(tmp_path, "finished", "early stop")) == tmp_path / "models/both-two/run"


@pytest.mark.parametrize(
    ("statuses", "name"), [(("finished", "running"), "two"), (("finished", ""), "two"), (("signal 15", ""), "one")]
)
def test_a_stage_that_is_not_finished_is_named(tmp_path: Path, statuses: tuple[str, ...], name: str) -> None:
    with pytest.raises(UserError, match=rf"both/20260101-000000-0000: {name} is not finished; go on with train.py -c CONFIG -r"):
        final_run(write_group(tmp_path, *statuses))


def test_of_folds_none_stands_for_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a group of folds.*; name one fold's run"):
        final_run(write_group(tmp_path, "finished", "finished", kind="folds"))


def test_a_run_and_a_checkpoint_are_as_they_are(tmp_path: Path) -> None:
    for path in (tmp_path / "models/both-one/run", tmp_path / "models/both-one/run/best.pth"):
        assert final_run(path) == path
