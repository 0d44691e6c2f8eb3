"""Groups of folds and ensembles are runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.saved.group import FOLDS, STAGES
from base.saved.names import GROUP
from base.saved.run_folder import RunFolder
from data_loader.attributes.synthetic import write_masks
from inspection import results
from inspection.runs import Run, all_runs, overview, run_at
from tests.attributes.app_world import EARLIER, JOINED, MASKS, masks_folds, masks_run
from tests.saved import write_ensemble, write_group
from utils import files


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
    assert found.split == "valid" and results.kinds(group) == {"attributes"}


def test_a_group_of_stages_is_the_runs_of_its_stages(joined: RunFolder, tmp_path: Path) -> None:
    entry = {"config": {}, "start": {}, "run": f"../../{MASKS}"}
    files.write_json(joined.models / GROUP, {"kind": STAGES, "members": {"one": entry}})
    assert [run.label for run in all_runs(tmp_path / "saved")] == [MASKS, EARLIER]


def test_all_folds_of_a_group_are_trained_anew_not_the_first_alone(joined: RunFolder) -> None:
    group = run_at(joined.models)
    config = f"python train.py -c {group.config_file}"
    assert group.anew("seed=2") == [f"{config} --folds all --set name={joined.models.parent.name} --set seed=2"]
    assert group.parts[0].anew("seed=2") == [f"{config} --set seed=2"]
    entry = {"config": {}, "start": {}, "run": None}
    entries = {f"fold{fold}/{stage}": entry for fold in (0, 1) for stage in ("cosine", "margin")}
    files.write_json(joined.models / GROUP, {"kind": FOLDS, "members": entries})
    assert run_at(joined.models).anew("seed=2") == [
        "python train.py -c CONFIG --folds all --set cosine:seed=2 --set margin:seed=2"
    ]


def test_everything_that_takes_part_in_an_ensemble_is_trained_anew(joined: RunFolder, tmp_path: Path) -> None:
    for name, members in {"b": [f"../models/{MASKS}/last.pth"], "a": [joined.models, "../b"]}.items():
        write_ensemble(tmp_path / "saved" / name, *(tmp_path / "saved" / name / path for path in members))
    one = run_at(tmp_path / "saved/models" / MASKS).anew("seed=2")
    assert run_at(tmp_path / "saved/b").anew("seed=2") == one
    assert run_at(tmp_path / "saved/a").anew("seed=2") == [*run_at(joined.models).anew("seed=2"), *one]


@pytest.mark.parametrize("content", ["", "[1]", '{"kind": "folds", "members": [1]}', '{"kind": "folds", "members": {"a": 1}}'])
def test_a_broken_group_is_said_and_the_rest_goes_on(joined: RunFolder, tmp_path: Path, content: str) -> None:
    (joined.models / GROUP).write_text(content)
    table = overview(all_runs(tmp_path / "saved")).set_index("run")
    assert len(table) == 3 and "group.json: is damaged" in table.loc[JOINED, "problem"]


def test_an_ensemble_is_a_run_with_the_score_its_weights_were_fitted_for(joined: RunFolder, tmp_path: Path) -> None:
    both = tmp_path / "saved/both"
    write_ensemble(both, *(tmp_path / "saved/models" / label for label in (JOINED, EARLIER)))
    (joined.log / "out-of-fold").rename(both / "out-of-fold")
    found = {run.label: run for run in all_runs(tmp_path / "saved")}["saved/both"]
    assert [part.label for part in found.parts] == [MASKS, EARLIER]
    assert (found.best, found.status, found.problem) == (0.75, "finished", "")
    assert len(results.read(found, "out-of-fold").samples) == 42


def test_ensembles_may_hold_ensembles_stages_and_checkpoints(joined: RunFolder, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    stages = write_group(saved, "staged/20260304-000000-0000", STAGES, {"one": saved / "models" / EARLIER})
    for name, members in {"b": [saved / "models" / MASKS / "last.pth"], "a": [saved / "b", stages]}.items():
        write_ensemble(saved / name, *members)
    assert [[part.label for part in run_at(saved / name).parts] for name in "ab"] == [[MASKS, EARLIER], [MASKS]]


def test_ensembles_that_hold_each_other_are_said_to_be_damaged(tmp_path: Path) -> None:
    for name, other in ("ab", "ba"):
        write_ensemble(tmp_path / name, tmp_path / other)
    table = overview(all_runs(tmp_path))
    assert table["status"].tolist() == ["damaged", "damaged"]
    assert table["problem"].str.contains("ensemble.json: is a member of itself").all()
