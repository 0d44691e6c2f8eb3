"""Folds as one: trained as a group, predicted where they were held out, averaged where they were not."""

import json
import os
import random
import signal
import time

import numpy as np
import pytest
import torch

from base.predictions import Predictions
from base.saved.door import Run, find, groups
from base.saved.group import Group
from base.table import SampleTable
from laurel import command
from tests.attributes.tiny import write_config
from tests.helpers import Script, launch, run, start_job
from tests.interrupt import interrupting
from trainer.evaluation.shelf import Shelf
from trainer.experiment import checking, loading
from trainer.experiment.group import Member
from trainer.runs import folds
from trainer.runs.folds import join
from utils import config, files
from utils.errors import UserError
from utils.files import write_json

FILES = ("predictions.parquet", "samples.parquet", "metrics.json")
CPU = torch.device("cpu")
QUICK = {"data_loader.args.split.folds": 3, "trainer.epochs": 1, "trainer.save_steps": 2}


def train(path, resume=None, **options):
    return launch(path, resume, **{"folds": "all", **options})


def group_in(folder, name="tiny"):
    (found,) = groups(folder / "saved", name)
    return Group(found)


def held_out_of(group):
    return group.folder.parents[2] / "log" / group.folder.parent.name / group.folder.name / "out-of-fold"


def bytes_of(group):
    return {name: (held_out_of(group) / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, masks_folder):
    """A folder with a config, and a finished group of its three folds."""
    folder = tmp_path_factory.mktemp("folds")
    assert train(write_config(folder, masks_folder, QUICK)) == 0
    return folder


@pytest.fixture
def shelf():
    return Shelf(CPU)


# Training -----------------------------------------------------------------------------------------------------------


def test_each_fold_is_a_run_of_its_own_that_holds_out_its_fold(trained):
    group = group_in(trained)
    assert list(group.members) == ["fold0", "fold1", "fold2"] and group.kind == "folds" and group.done
    configs = [json.loads((group.run(name) / "config.json").read_text()) for name in group.members]
    assert [values["data_loader"]["args"]["split"]["fold"] for values in configs] == [0, 1, 2]
    assert [group.run(name).parent.name for name in group.members] == ["tiny-fold0", "tiny-fold1", "tiny-fold2"]


def test_every_training_sample_is_predicted_once_in_the_order_of_the_table(trained, shelf):
    folder = held_out_of(group_in(trained))
    predictions, manifest = Predictions.read(folder / "predictions.parquet")
    loader = shelf.open([find(group_in(trained).run("fold1"))]).loader
    everything = sorted([*loader.table("train").ids(), *loader.table("valid").ids()])
    assert predictions.ids() == everything == SampleTable.read(folder / "samples.parquet").ids()
    assert len(manifest["checkpoints"]) == 3


def test_a_sample_is_predicted_by_the_fold_that_held_it_out(trained, shelf):
    table = SampleTable.read(held_out_of(group_in(trained)) / "samples.parquet")
    for fold in range(3):
        valid = shelf.open([find(group_in(trained).run(f"fold{fold}"))]).table("valid")
        assert [name for name, own in zip(table.ids(), table.numbers("fold"), strict=True) if own == fold] == valid.ids()


def test_scores_of_all_folds_are_written_with_their_intervals(trained):
    scores = json.loads((held_out_of(group_in(trained)) / "metrics.json").read_text())
    low, high = scores["intervals"]["f1"]
    assert low <= scores["f1"] <= high and low < high


def test_folds_stopped_twice_resume_to_the_same_bytes_and_train_nothing_twice(trained, tmp_path, masks_folder, monkeypatch):
    path = write_config(tmp_path, masks_folder, QUICK)
    interrupt = interrupting(monkeypatch)
    for interrupt.at in (3, 9):
        assert train(path, "auto") == 75
    assert train(path, "auto") == 0
    assert bytes_of(group_in(tmp_path)) == bytes_of(group_in(trained))
    assert interrupt.steps == 15


def test_folds_killed_at_two_random_moments_end_with_the_same_bytes(trained, tmp_path, masks_folder):
    path, chance = write_config(tmp_path, masks_folder, QUICK), random.Random(3)

    def steps():
        return sum(log.read_text().count('"kind": "step"') for log in (tmp_path / "saved" / "log").glob("*/*/log.jsonl"))

    for wanted in sorted(chance.sample(range(1, 15), 2)):
        script = Script(tmp_path, "train.py", "-c", path, "--folds", "all", "-r", "auto")
        script.wait_for(lambda wanted=wanted: steps() >= wanted)
        time.sleep(chance.uniform(0, 0.05))
        script.signal(signal.SIGKILL)
        script.process.join()
    result = run(tmp_path, "train.py", "-c", path, "--folds", "all", "-r", "auto")
    assert (result.status, result.errors) == (0, "")
    assert bytes_of(group_in(tmp_path)) == bytes_of(group_in(trained))


def test_a_group_that_has_not_concluded_goes_on_and_a_concluded_one_is_not_repeated(trained, capsys):
    path, group = trained / "config.json", group_in(trained)
    expected = bytes_of(group)
    for name in FILES:
        (held_out_of(group) / name).unlink()
    (group.folder / "status.json").unlink()
    assert train(path, "auto") == 0
    assert "fold2: finished before" in capsys.readouterr().out
    assert bytes_of(group_in(trained)) == expected
    with pytest.raises(UserError, match="-r last: there is no unfinished group"):
        train(path, "last")


def test_check_looks_at_every_fold(trained, capsys):
    assert command("train", ["-c", str(trained / "config.json"), "--folds", "all", "--check"]) == 0
    assert capsys.readouterr().out.count(": ok (") == 3


@pytest.mark.parametrize("wrong", ["3", "-1", "0,0", "none", "", "1,", "0;1", "²", "9999999999"])
def test_folds_that_are_not_there_are_refused_in_one_line(trained, wrong):
    with pytest.raises(UserError, match="--folds: found .*; allowed: all, or different numbers from 0 to 2") as refused:
        train(trained / "config.json", folds=wrong)
    assert "\n" not in str(refused.value)


def test_a_config_without_folds_is_refused(tmp_path, masks_folder):
    changes = {"data_loader.args.split": {"group": "person", "folds": None, "valid": 0.2}}
    with pytest.raises(UserError, match=r"--folds: .*config.json: the config has no folds"):
        train(write_config(tmp_path, masks_folder, changes))


def test_a_fold_that_cannot_be_filled_is_refused_before_anything_is_made(tmp_path, masks_folder):
    path = write_config(tmp_path, masks_folder, {"data_loader.args.split.folds": 17})
    with pytest.raises(UserError, match="split: 17 folds need at least 17 different values of person; there are 16"):
        train(path, folds="16")


@pytest.fixture(scope="module")
def staged(tmp_path_factory, masks_folder):
    """A finished group of two folds of two stages."""
    folder = tmp_path_factory.mktemp("staged")
    for name, seed in (("one", 1), ("two", 2)):
        write_config(folder, masks_folder, {**QUICK, "data_loader.args.split.folds": 2, "seed": seed}, f"{name}.json")
    stages = [{"name": "one", "config": "one.json"}, {"name": "two", "config": "two.json", "init_from": {"stage": "one"}}]
    (folder / "staged.json").write_text(json.dumps({"name": "tiny", "stages": stages}))
    assert train(folder / "staged.json") == 0
    return group_in(folder)


def test_stages_are_trained_fold_by_fold_each_with_weights_of_its_own_fold(staged):
    assert list(staged.members) == ["fold0/one", "fold0/two", "fold1/one", "fold1/two"]
    for fold in (0, 1):
        parent = loading.load_model(Run(staged.run(f"fold{fold}/two")).checkpoint, CPU).state["parents"][0]
        assert parent["sha256"] == files.sha256(staged.run(f"fold{fold}/one") / "best.pth")
    assert len(Predictions.read(held_out_of(staged) / "predictions.parquet")[0]) == 112


def members_of(group):
    entries = group.members.items()
    return [Member(name, checking.check(config.from_values(entry["config"], name))) for name, entry in entries]


def test_a_stage_trained_on_held_out_pictures_is_warned_about(staged, capsys):
    folds.conclude(staged, members_of(staged), CPU)
    assert "warning" not in capsys.readouterr().out
    staged.members["fold1/one"]["config"]["data_loader"]["args"]["split"]["seed"] = 5
    folds.conclude(staged, members_of(staged), CPU)
    assert "warning: fold1/one was trained on" in capsys.readouterr().out


def test_of_several_processes_the_main_one_predicts_what_was_held_out(tmp_path, masks_folder):
    path = write_config(tmp_path, masks_folder, {**QUICK, "data_loader.args.split.folds": 2})
    results = [script.wait() for script in start_job(tmp_path, 2, "train.py", "-c", path, "--folds", "all")]
    assert [(result.status, result.errors) for result in results] == [(0, ""), (0, "")]
    assert ["predictions:" in result.output for result in results] == [True, False]
    assert group_in(tmp_path).done and len(Predictions.read(held_out_of(group_in(tmp_path)) / "predictions.parquet")[0]) == 112


# As one thing -------------------------------------------------------------------------------------------------------


def test_testing_a_group_averages_its_folds(trained, tmp_path):
    group = group_in(trained)
    alone = []
    for name in group.members:
        assert run(tmp_path, "test.py", "-r", group.run(name), "-o", tmp_path / name).status == 0
        alone.append(Predictions.read(tmp_path / name / "predictions.parquet")[0].array("mask"))
    result = run(tmp_path, "test.py", "-r", group.folder, "-o", tmp_path / "all")
    assert result.status == 0, result.errors
    fused = Predictions.read(tmp_path / "all" / "predictions.parquet")[0].array("mask")
    assert np.allclose(fused, np.mean(alone, axis=0), atol=1e-6)
    assert (tmp_path / "all" / "info.csv").exists()


def test_the_validation_of_a_group_is_what_its_folds_held_out(trained, tmp_path):
    group = group_in(trained)
    result = run(tmp_path, "test.py", "-r", group.folder, "--split", "valid", "-o", tmp_path / "valid", "--verbosity", "1")
    assert (result.status, result.errors) == (0, "")
    assert {name: (tmp_path / "valid" / name).read_bytes() for name in FILES} == bytes_of(group)


def test_a_group_with_an_unfinished_fold_predicts_with_the_others_and_refuses_validation(trained, tmp_path, shelf):
    group = group_in(trained)
    members = {**group.members, "fold1": {**group.members["fold1"], "run": None}}
    for name in ("fold0", "fold2"):
        members[name] = {**members[name], "run": os.path.relpath(group.run(name), tmp_path)}
    write_json(tmp_path / "group.json", {"kind": "folds", "members": members})
    partial = shelf.open([find(tmp_path)])
    assert len(partial.checkpoints) == 2
    with pytest.raises(UserError, match="fold 1 is not finished"):
        partial.require_whole()


# Joining ------------------------------------------------------------------------------------------------------------


def test_folds_trained_apart_are_joined_to_the_same_bytes(trained, tmp_path, masks_folder, shelf):
    group = group_in(trained)
    path = write_config(tmp_path, masks_folder, QUICK)
    assert train(path, folds="1") == 0
    (apart,) = groups(tmp_path / "saved", "tiny")
    joined = join([find(group.run("fold0")), find(apart), find(group.run("fold2"))], shelf)
    expected, found = bytes_of(group), bytes_of(joined)
    for place in (joined.folder, held_out_of(joined)):
        for file in sorted(place.rglob("*"), reverse=True):
            file.unlink()
        place.rmdir()
    assert found == expected


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["fold0", "fold1"], "fold 2 of 3 is missing"),
        (["fold0", "fold1", "fold2", "fold0"], "is fold 0, as .* is; give each fold once"),
    ],
)
def test_runs_that_are_not_all_folds_of_one_config_are_not_joined(trained, shelf, chosen, message):
    group = group_in(trained)
    with pytest.raises(UserError, match=message):
        join([find(group.run(name)) for name in chosen], shelf)
    assert len(groups(trained / "saved", "tiny")) == 1


def test_a_fold_of_another_config_is_not_joined(trained, tmp_path, shelf):
    group = group_in(trained)
    other = tmp_path / "models" / "tiny" / "other"
    other.mkdir(parents=True)
    values = json.loads((group.run("fold2") / "config.json").read_text())
    write_json(other / "config.json", {**values, "seed": 9})
    write_json(other / "status.json", {"status": "finished"})
    with pytest.raises(UserError, match="seed: found 9, and 1 in .*folds of one group differ in nothing but the fold"):
        join([find(group.run("fold0")), find(group.run("fold1")), find(other)], shelf)


def test_a_run_that_is_not_finished_is_not_joined(trained, tmp_path, shelf):
    other = tmp_path / "run"
    other.mkdir()
    (other / "config.json").write_bytes((group_in(trained).run("fold2") / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"is not finished \(new\)"):
        join([find(other)], shelf)
