"""The folds of a config as runs: which they are, and which finished runs make a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from base.saved.door import CheckpointFile, Run, Saved, find
from base.saved.group import FOLDS, STAGES
from base.table import SampleTable
from tests.helpers import ROOT
from tests.predictors import Fake
from trainer.evaluation.predictor import FoldModels
from trainer.evaluation.shelf import Shelf
from trainer.experiment import checking
from trainer.experiment.group import Member, create_group
from trainer.runs import folds
from utils import config, files
from utils.errors import UserError

THREE = "data_loader.args.split.folds=3"


def member(*overrides: str, name: str = "") -> Member:
    return Member(name, checking.check(config.read(ROOT / "configs" / "masks.json", [THREE, *overrides])))


def write_run(folder: Path, fold: int, *overrides: str, status: str = "finished") -> Saved:
    """The folder of a run of one fold, without a checkpoint."""
    values = member(f"data_loader.args.split.fold={fold}", f'name="masks-fold{fold}"', *overrides).experiment.raw.values
    files.write_json(folder / "config.json", values)
    files.write_json(folder / "status.json", {"status": status})
    return Run(folder)


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    places = [tmp_path / f"run{number}" for number in range(3)]
    for place in places:
        place.mkdir()
    return places


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(torch.device("cpu"))


# Training -----------------------------------------------------------------------------------------------------------


def test_each_fold_is_a_member_with_its_own_fold_and_name() -> None:
    found = folds.members([member()], "all")
    assert [one.name for one in found] == ["fold0", "fold1", "fold2"]
    assert [one.experiment.raw.values["data_loader"]["args"]["split"]["fold"] for one in found] == [0, 1, 2]
    assert [one.experiment.raw.values["name"] for one in found] == ["masks-fold0", "masks-fold1", "masks-fold2"]


def test_the_config_that_is_given_stays_as_it_is() -> None:
    single = member()
    folds.members([single], "2")
    assert single.experiment.raw.values == member().experiment.raw.values


def test_folds_are_trained_in_the_order_in_which_they_are_asked_for() -> None:
    assert [one.name for one in folds.members([member()], "2, 0")] == ["fold2", "fold0"]


def test_stages_follow_each_other_within_a_fold() -> None:
    singles = [member(name="one"), replace(member(name="two"), after="one")]
    found = folds.members(singles, "0,1")
    assert [one.name for one in found] == ["fold0/one", "fold0/two", "fold1/one", "fold1/two"]
    assert [one.after for one in found] == [None, "fold0/one", None, "fold1/one"]


@pytest.mark.parametrize("wrong", ["3", "-1", "0,0", "none", "", "1,", "0;1", "²", "9999999999"])
def test_folds_that_are_not_there_are_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(UserError, match="--folds: found .*; allowed: all, or different numbers from 0 to 2") as refused:
        folds.members([member()], wrong)
    assert "\n" not in str(refused.value)


def test_stages_of_different_numbers_of_folds_are_refused() -> None:
    singles = [member(name="one"), member("data_loader.args.split.folds=4", name="two")]
    with pytest.raises(UserError, match="--folds: the stages have 3 and 4 folds; allowed: equally many"):
        folds.members(singles, "all")


def test_a_config_without_folds_is_refused() -> None:
    without = member('data_loader.args.split={"group": "person", "valid": 0.2}')
    with pytest.raises(UserError, match="--folds: .*masks.json: the config has no folds"):
        folds.members([without], "all")


def test_pictures_are_the_same_wherever_their_paths_begin(tmp_path: Path) -> None:
    one = SampleTable.from_columns(tmp_path, {"id": ["a", "b"], "path": ["x/a.jpg", "x/b.jpg"]})
    other = SampleTable.from_columns(tmp_path / "x", {"id": ["c"], "path": ["a.jpg"]})
    assert folds.files_of(one) & folds.files_of(other) == {str(tmp_path / "x" / "a.jpg")}


# Joining ------------------------------------------------------------------------------------------------------------


def test_a_fold_that_is_missing_is_named(places: list[Path], shelf: Shelf) -> None:
    with pytest.raises(UserError, match="fold 1, 2 of 3 is missing"):
        folds.join([write_run(places[0], 0)], shelf)


def test_a_fold_that_is_there_twice_is_named(places: list[Path], shelf: Shelf) -> None:
    with pytest.raises(UserError, match="run1: is fold 0, as .*run0 is; give each fold once"):
        folds.join([write_run(places[0], 0), write_run(places[1], 0)], shelf)


def test_a_run_that_is_not_finished_is_refused(places: list[Path], shelf: Shelf) -> None:
    with pytest.raises(UserError, match=r"is not finished \(running\); go on with it"):
        folds.join([write_run(places[0], 0, status="running")], shelf)


def test_a_run_without_folds_is_refused(places: list[Path], shelf: Shelf) -> None:
    without = write_run(places[0], 0, 'data_loader.args.split={"group": "person", "valid": 0.2}')
    with pytest.raises(UserError, match="the config has no folds"):
        folds.join([without], shelf)


@pytest.mark.parametrize("change", ["seed=9", "trainer.epochs=3"])
def test_folds_of_different_configs_are_refused_by_key(places: list[Path], shelf: Shelf, change: str) -> None:
    with pytest.raises(UserError, match=f"run1: {change.partition('=')[0]}: found .*, and .* in .*run0; folds of one group"):
        folds.join([write_run(places[0], 0), write_run(places[1], 1, change)], shelf)


def test_folds_that_were_run_in_different_ways_belong_together(places: list[Path], shelf: Shelf) -> None:
    others = [write_run(places[1], 1, "trainer.log_every=7"), write_run(places[2], 2, "data_loader.args.num_workers=0")]
    with pytest.raises(UserError, match="run0: holds no checkpoint"):  # which is looked for when all else fits
        folds.join([write_run(places[0], 0), *others], shelf)


def test_a_group_of_folds_stands_for_its_last_runs(places: list[Path], shelf: Shelf, tmp_path: Path) -> None:
    write_run(places[0], 0)
    group = create_group(tmp_path, "masks", FOLDS, [member(name="fold0/one"), member(name="fold0/two")])
    group.record("fold0/two", places[0])
    with pytest.raises(UserError, match="fold 1, 2 of 3 is missing"):
        folds.join([find(group.folder)], shelf)


def test_checkpoints_and_groups_of_stages_are_not_joined(places: list[Path], shelf: Shelf, tmp_path: Path) -> None:
    stages = create_group(tmp_path, "masks", STAGES, [member(name="one")])
    for saved, noun in ((find(stages.folder), "a group of stages"), (CheckpointFile(places[0] / "best.pth"), "a checkpoint")):
        with pytest.raises(UserError, match=f"is {noun}; allowed: runs, and groups of folds"):
            folds.join([saved], shelf)


def test_a_fold_that_was_trained_on_other_annotations_is_not_joined(tmp_path: Path) -> None:
    first = Fake(tmp_path / "0.pth", 1.0, 0, train="b", valid="a")
    second = Fake(tmp_path / "1.pth", 1.0, 1, train="a", valid="b")
    folds._require_one_split(FoldModels(tmp_path, {0: first, 1: second}, []))
    second.loaded.state["fingerprint"] = {"data_loader.args.corrections": "1"}  # type: ignore[index]
    with pytest.raises(UserError, match=r"1.pth: was trained on other data_loader.args.corrections than are there now"):
        folds._require_one_split(FoldModels(tmp_path, {0: first, 1: second}, []))
