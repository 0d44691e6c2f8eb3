"""What is read of runs, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from base.run_folder import ENSEMBLE, FOLDS, GROUP, STAGES, RunFolder
from data_loader.attributes.synthetic import write_masks
from inspection import results, runs
from inspection.runs import Run, all_runs, curves, overview, run_at, smoothed
from tests.app_world import EARLIER, JOINED, MASKS, learning, masks_folds, masks_run, write_run
from utils import files


def test_an_overview_has_the_best_value_of_the_watched_score(tmp_path: Path) -> None:
    scores = [{"val/f1": 0.1}, {"val/f1": 0.7}, {"val/f1": 0.4}]
    write_run(tmp_path, "a/20260101-000000-0000", {"trainer": {"monitor": "max val/f1"}, "data_loader": {}}, scores)
    row = overview(all_runs(tmp_path)).iloc[0]
    assert (row["run"], row["best"], row["epochs"], row["status"]) == ("a/20260101-000000-0000", 0.7, 3, "finished")


def test_the_newest_run_comes_first_whatever_its_name(tmp_path: Path) -> None:
    for label in ("b/20260102-000000-0000", "a/20260101-000000-0000", "c/20260103-000000-0000"):
        write_run(tmp_path, label, {"name": "x"}, learning(1))
    assert [run.folder.parent.name for run in all_runs(tmp_path)] == ["c", "b", "a"]


def test_models_to_choose_are_the_best_the_last_those_of_epochs_and_what_was_exported(tmp_path: Path) -> None:
    folders = write_run(tmp_path, "a/20260101-000000-0000", {"name": "x"}, learning(1))
    for name in ("checkpoint-epoch10.pth", "checkpoint-epoch9.pth", "best.pth"):
        (folders.models / name).touch()
    folders.exported.mkdir()
    for name in ("x.onnx", "x.onnx.card.json", "x.pt2", "x.pth"):
        (folders.exported / name).touch()
    wanted = ["best.pth", "last.pth", "checkpoint-epoch9.pth", "checkpoint-epoch10.pth", "export/x.onnx", "export/x.pth"]
    found = Run(folders.models).model_files
    assert list(found) == wanted
    assert all(path.exists() for path in found.values())


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"trainer": 3}', "\x00", '{"trainer": {"monitor": 7}}', "[" * 5000])
def test_a_broken_config_is_said_and_the_rest_goes_on(tmp_path: Path, text: str) -> None:
    write_run(tmp_path, "good/20260102-000000-0000", {"name": "good"}, learning(2))
    bad = write_run(tmp_path, "bad/20260101-000000-0000", {"name": "bad"}, learning(2))
    (bad.models / "config.json").write_text(text)
    (bad.log / "log.jsonl").write_bytes(b'\xff\xfe{"kind": "epoch", "epoch": "x"}\n{"kind": "epoch"}\nnull\n')
    (bad.models / "status.json").write_text("[1]")
    table = overview(all_runs(tmp_path))
    assert table["run"].tolist() == ["good/20260102-000000-0000", "bad/20260101-000000-0000"]
    assert table["epochs"].tolist() == [2, 0]


def test_a_run_that_was_killed_is_stopped_and_one_that_trains_is_running(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a/20260101-000000-0000", {"name": "a"}, learning(1), status="running")
    (run.models / ".lock").touch()
    assert Run(run.models).status == "stopped"


# Joined -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def joined(tmp_path: Path) -> RunFolder:
    """A group of two folds below `saved`, beside the runs of its folds."""
    write_masks(tmp_path / "data", people=6, eval_people=2, seed=1, size=(24, 18))
    masks_run(tmp_path / "saved", tmp_path / "data")
    masks_run(tmp_path / "saved", tmp_path / "data", EARLIER, seed=1)
    return masks_folds(tmp_path / "saved", tmp_path / "data")


def test_a_group_of_folds_is_a_run_with_the_score_of_what_they_held_out(joined: RunFolder, tmp_path: Path) -> None:
    table = overview(all_runs(tmp_path / "saved")).set_index("run")
    assert table.index.tolist() == [MASKS, EARLIER, JOINED]
    row = table.loc[JOINED]
    assert (row["status"], row["epochs"], row["best"], row["problem"]) == ("finished", 48, 0.625, "")
    group = run_at(joined.models)
    assert [part.label for part in group.parts] == [MASKS, EARLIER]
    assert list(group.model_files) == ["fold0 last.pth", "fold1 last.pth"]
    assert group.config == Run(tmp_path / "saved/models" / MASKS).config


def test_what_folds_held_out_is_read_with_the_fold_of_each_sample(joined: RunFolder) -> None:
    group = run_at(joined.models)
    assert results.found(group) == ["out-of-fold"]
    found = results.read(group, "out-of-fold")
    assert found.attributes["fold"] == ["0", "1"]
    assert found.split == "valid" and results.kinds(group) == {results.ATTRIBUTES}


def test_a_group_of_stages_is_the_runs_of_its_stages(joined: RunFolder, tmp_path: Path) -> None:
    files.write_json(joined.models / GROUP, {"kind": STAGES, "members": {}})
    assert [run.label for run in all_runs(tmp_path / "saved")] == [MASKS, EARLIER]


def test_all_folds_of_a_group_are_trained_anew_not_the_first_alone(joined: RunFolder) -> None:
    group = run_at(joined.models)
    config = f"python train.py -c {group.config_file}"
    assert group.anew("seed=2") == [f"{config} --folds all --set name={joined.models.parent.name} --set seed=2"]
    assert group.parts[0].anew("seed=2") == [f"{config} --set seed=2"]
    entries = {f"fold{fold}/{stage}": {"run": None} for fold in (0, 1) for stage in ("cosine", "margin")}
    files.write_json(joined.models / GROUP, {"kind": FOLDS, "members": entries})
    assert run_at(joined.models).anew("seed=2") == [
        "python train.py -c CONFIG --folds all --set cosine:seed=2 --set margin:seed=2"
    ]


def test_everything_that_takes_part_in_an_ensemble_is_trained_anew(joined: RunFolder, tmp_path: Path) -> None:
    for name, members in {"a": [joined.models, "../b"], "b": [f"../models/{MASKS}/last.pth"]}.items():
        (tmp_path / "saved" / name).mkdir()
        files.write_json(tmp_path / "saved" / name / ENSEMBLE, {"members": [{"path": str(path)} for path in members]})
    one = run_at(tmp_path / "saved/models" / MASKS).anew("seed=2")
    assert run_at(tmp_path / "saved/b").anew("seed=2") == one
    assert run_at(tmp_path / "saved/a").anew("seed=2") == [*run_at(joined.models).anew("seed=2"), *one]


@pytest.mark.parametrize("content", ["", "[1]", '{"kind": "folds", "members": [1]}', '{"kind": "folds", "members": {"a": 1}}'])
def test_a_broken_group_is_said_and_the_rest_goes_on(joined: RunFolder, tmp_path: Path, content: str) -> None:
    (joined.models / GROUP).write_text(content)
    table = overview(all_runs(tmp_path / "saved")).set_index("run")
    assert len(table) == 3 and "group.json: cannot be read" in table.loc[JOINED, "problem"]


def test_an_ensemble_is_a_run_with_the_score_its_weights_were_fitted_for(joined: RunFolder, tmp_path: Path) -> None:
    both = tmp_path / "saved/both"
    both.mkdir()
    members = [{"path": f"../models/{label}", "weight": 0.5, "checkpoints": []} for label in (JOINED, EARLIER)]
    files.write_json(both / ENSEMBLE, {"members": members, "score": 0.75, "fitted": {}})
    (joined.log / "out-of-fold").rename(both / "out-of-fold")
    found = {run.label: run for run in all_runs(tmp_path / "saved")}["saved/both"]
    assert [part.label for part in found.parts] == [MASKS, EARLIER]
    assert (found.best, found.status, found.problem) == (0.75, "finished", "")
    assert len(results.read(found, "out-of-fold").samples) == 42


def test_ensembles_may_hold_each_other_and_checkpoints(joined: RunFolder, tmp_path: Path) -> None:
    for name, members in {"a": ["../b", "../a"], "b": ["../a", f"../models/{MASKS}/last.pth"]}.items():
        (tmp_path / "saved" / name).mkdir()
        files.write_json(tmp_path / "saved" / name / ENSEMBLE, {"members": [{"path": path} for path in members]})
    assert [[part.label for part in run_at(tmp_path / "saved" / name).parts] for name in "ab"] == [[MASKS], [MASKS]]


@pytest.mark.parametrize("content", ["", "[1]", '{"members": 3}', '{"members": [3, {"path": 4}]}'])
def test_a_broken_ensemble_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / ENSEMBLE).write_text(content)
    (row,) = overview(all_runs(tmp_path)).to_dict("records")
    assert "ensemble.json: cannot be read" in row["problem"]


# Epochs -------------------------------------------------------------------------------------------------------------


def test_an_epoch_that_is_added_is_seen(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a/20260101-000000-0000", {"name": "a"}, learning(2))
    assert len(Run(run.models).epochs) == 2
    files.append_line(run.log / "log.jsonl", '{"kind": "epoch", "epoch": 3, "val/f1": 0.5}')
    assert len(Run(run.models).epochs) == 3


def test_smoothing_has_no_bias_towards_zero() -> None:
    assert smoothed(np.full(5, 3.0), 0.9).tolist() == pytest.approx([3.0] * 5)
    assert smoothed(np.array([1.0, 2.0]), 0.5).tolist() == pytest.approx([1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
    assert smoothed(np.array([1.0, 2.0]), 0.0).tolist() == [1.0, 2.0]


def test_curves_leave_out_what_is_no_number(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a/20260101-000000-0000", {"name": "a"}, [{"val/f1": 0.5}, {"val/f1": None}, {"val/f1": 0.7}])  # type: ignore[dict-item]
    table = curves([Run(run.models)], ["val/f1", "absent"])
    assert table["epoch"].tolist() == [1, 3] and table["value"].tolist() == [0.5, 0.7]


def test_the_difference_of_two_configs_is_by_key(tmp_path: Path) -> None:
    old = write_run(tmp_path, "a/20260101-000000-0000", {"optimizer": {"args": {"lr": 0.1}}, "seed": 1}, learning(1))
    new = write_run(tmp_path, "a/20260102-000000-0000", {"optimizer": {"args": {"lr": 0.2}}, "seed": 1}, learning(1))
    table = runs.config_difference(Run(old.models), Run(new.models))
    assert table.to_numpy().tolist() == [["optimizer.args.lr", "0.1", "0.2"]]


def test_disk_use_counts_both_folders_and_follows_no_link(tmp_path: Path) -> None:
    run = write_run(tmp_path / "saved", "a/20260101-000000-0000", {"name": "a"}, learning(1))
    before = Run(run.models).bytes
    (run.log / "more").mkdir()
    (run.log / "more" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    (run.models / "link").symlink_to(tmp_path / "large")
    assert 1000 <= Run(run.models).bytes - before < 2000
