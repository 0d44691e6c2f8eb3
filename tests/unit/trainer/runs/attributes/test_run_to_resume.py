"""The run that training goes on with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from base.saved.group import FOLDS
from base.saved.run_folder import RunFolder
from tests.helpers import ROOT
from tests.saved import write_group, write_run
from trainer.experiment import checking
from trainer.experiment.checking import Experiment
from trainer.runs.launch import _to_resume
from utils import config, files
from utils.errors import UserError

OLD, MIDDLE, NEW = "20260101-000000-aaaa", "20260102-000000-bbbb", "20260103-000000-cccc"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return checking.check(config.read(ROOT / "configs" / "masks.json", [f"trainer.save_dir={tmp_path / 'saved'}"]))


def run(experiment: Experiment, label: str, status: str, **changes: object) -> Path:
    """A run of the config, with some values changed."""
    folder = write_run(Path(str(experiment.raw.values["trainer"]["save_dir"])), label, status)
    files.write_json(folder / "config.json", {**experiment.raw.values, **changes})
    return folder


def test_without_the_option_a_new_run_begins(experiment: Experiment) -> None:
    run(experiment, f"masks/{OLD}", "running")
    assert _to_resume(None, experiment) == (None, [])


def test_last_is_the_newest_unfinished_run_of_the_config(experiment: Experiment) -> None:
    wanted = run(experiment, f"masks/{MIDDLE}", "signal 15")
    run(experiment, f"masks/{NEW}", "finished")
    run(experiment, f"faces/{NEW}", "running")
    assert _to_resume("last", experiment) == (wanted, [])


def test_last_goes_on_with_the_newest_if_all_are_finished(experiment: Experiment) -> None:
    run(experiment, f"masks/{OLD}", "finished")
    newest = run(experiment, f"masks/{NEW}", "finished")
    assert _to_resume("last", experiment) == (newest, [])


def test_a_name_is_enough(experiment: Experiment) -> None:
    wanted = run(experiment, f"faces/{OLD}", "running")
    assert _to_resume("faces", experiment) == _to_resume(f"faces/{OLD}", experiment) == (wanted, [])


def test_auto_is_the_newest_unfinished_run_of_the_same_config_and_says_which_it_passed_over(experiment: Experiment) -> None:
    wanted = run(experiment, f"masks/{OLD}", "running")
    other = run(experiment, f"masks/{MIDDLE}", "running", seed=99)
    run(experiment, f"masks/{NEW}", "finished")
    found, (note,) = _to_resume("auto", experiment)
    assert found == wanted and note.startswith(f"not going on with {other}: ") and "seed" in note


def test_auto_begins_a_new_run_if_none_fits(experiment: Experiment) -> None:
    run(experiment, f"masks/{OLD}", "finished")
    assert _to_resume("auto", experiment) == (None, [])


def test_a_run_of_another_process_is_refused_and_passed_over_by_auto(experiment: Experiment) -> None:
    folder = run(experiment, f"masks/{OLD}", "running")
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        held = RunFolder.at(folder).claim()
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        held.set_status("running")
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(UserError, match="another process is training this run"):
            _to_resume(str(folder), experiment)
        found, (note,) = _to_resume("auto", experiment)
        assert found is None and "another process is training this run" in note
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)


def test_a_group_is_refused_with_what_to_do(experiment: Experiment, tmp_path: Path) -> None:
    group = write_group(tmp_path / "saved", f"masks/{NEW}", FOLDS, {"fold0": None}, "running")
    with pytest.raises(UserError, match="is a group of folds; go on with it by -c and its config, with --folds for folds"):
        _to_resume(str(group), experiment)


def test_an_exported_model_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").touch()
    with pytest.raises(UserError, match="is an exported model; training goes on with a run or one of its checkpoints"):
        _to_resume(str(tmp_path / "x.onnx"), experiment)
