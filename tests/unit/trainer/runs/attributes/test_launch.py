"""Check that a config is checked once at the door, and handed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import launch
from trainer.experiment import checking
from trainer.runs.launch import plan
from utils.config import RawConfig
from utils.errors import UserError

QUICK = {"trainer.epochs": 1}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the configs that are checked, in order."""
    checked: list[str] = []
    check = checking.check

    def counted(raw: RawConfig) -> checking.Experiment:
        checked.append(str(raw.values["name"]))
        return check(raw)

    monkeypatch.setattr(checking, "check", counted)
    return checked


def test_the_config_of_a_single_run_is_checked_once(tiny_config: Callable[..., Path], names: list[str]) -> None:
    assert launch(tiny_config(QUICK)) == 0
    assert names == ["tiny"]


def test_each_stage_is_checked_once(tiny_config: Callable[..., Path], tmp_path: Path, names: list[str]) -> None:
    tiny_config(QUICK, "one.json")
    stages = [{"name": "one", "config": "one.json"}, {"name": "two", "config": "one.json", "init_from": {"stage": "one"}}]
    (tmp_path / "group.json").write_text(json.dumps({"name": "group", "stages": stages}))
    assert launch(tmp_path / "group.json") == 0
    assert names == ["group-one", "group-two"]


def test_folds_are_checked_once_each_beside_the_config_that_has_them(tiny_config: Callable[..., Path], names: list[str]) -> None:
    planned = plan(tiny_config({"data_loader.args.split.folds": 3}), numbers="all")
    assert names == ["tiny", "tiny-fold0", "tiny-fold1", "tiny-fold2"]
    assert [experiment.config.data_loader.args.split.fold for experiment in planned.experiments] == [0, 1, 2]


def test_training_all_folds_checks_no_config_again(
    tiny_config: Callable[..., Path], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[int] = []
    monkeypatch.setattr("trainer.runs.folds.conclude", lambda *_: before.append(len(names)))
    assert launch(tiny_config({**QUICK, "data_loader.args.split.folds": 2}), folds="all") == 0
    assert before == [3] and len(names) == 3


def test_a_run_of_the_same_config_goes_on_without_another_check(tiny_config: Callable[..., Path], names: list[str]) -> None:
    path = tiny_config(QUICK)
    launch(path)
    launch(path, "last")
    assert names == ["tiny", "tiny"]


def test_the_values_of_a_config_are_taken_as_its_file(tiny_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_config()
    monkeypatch.chdir(path.parent)
    read, given = plan(path).experiments[0], plan(json.loads(path.read_text())).experiments[0]
    assert (read.hash, given.raw.file) == (given.hash, "config")


def test_values_that_json_cannot_hold_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="config: holds what no config can hold .*; allowed: what JSON has"):
        plan({"name": object()})


def test_auto_needs_a_config() -> None:
    from trainer.runs import launch as door

    with pytest.raises(UserError, match="-r auto: looks for a run of a config; give one"):
        door.launch(None, "auto", "cpu")
