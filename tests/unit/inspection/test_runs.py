"""What is read of runs, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from base.saved.names import ENSEMBLE
from inspection import runs
from inspection.runs import Run, all_runs, curves, overview, smoothed
from tests.app_world import learning, write_run
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


@pytest.mark.parametrize("content", ["", "[1]", '{"members": 3}', '{"members": [3, {"path": 4}]}'])
def test_a_broken_ensemble_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / ENSEMBLE).write_text(content)
    (row,) = overview(all_runs(tmp_path)).to_dict("records")
    assert "ensemble.json: is damaged" in row["problem"]


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
