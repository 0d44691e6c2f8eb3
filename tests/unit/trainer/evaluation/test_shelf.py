"""From what is kept on disk to what predicts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from base.base_data_loader import Folds
from base.contracts import DataSpec
from base.saved.door import EvaluationFolder, find
from base.saved.ensemble import EnsembleRecord
from base.saved.group import FOLDS, STAGES
from tests.saved import write_ensemble, write_group, write_run
from trainer.evaluation.predictor import Checkpoint, FoldModels, FusedPredictor
from trainer.evaluation.shelf import Shelf
from trainer.experiment import build, checking, loading
from utils.errors import UserError


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf whose models are known by the names of their runs: `m-fold1` is fold 1 of 3."""

    def load(path: Path, device: torch.device, overrides: tuple[str, ...] = ()) -> Any:
        name = path.parent.parent.name
        config = SimpleNamespace(name=name, folds=Folds(3, int(name[-1]), "fold") if "fold" in name else None)
        experiment = SimpleNamespace(config=config, raw=SimpleNamespace(values={"data_loader": name}))
        spec = DataSpec({"label": found.get(name, [])})
        return SimpleNamespace(path=path, experiment=experiment, exported=True, digest=f"hash of {name}", spec=spec)

    classes = {"other": {"label": ["x", "y"]}, "apart": {"rest": ["x"]}, "elsewhere": {"label": []}}
    found = {"elsewhere": ["x", "y"]}
    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(build, "build_loader", lambda *given: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(checking, "declared_folds", lambda config: config.folds)
    monkeypatch.setattr(checking, "declared_spec", lambda config: DataSpec(classes.get(config.name, {"label": ["no", "yes"]})))
    return Shelf(torch.device("cpu"))


def path_of(predictor: object) -> Path:
    assert isinstance(predictor, Checkpoint)
    return predictor.path


def test_a_run_is_its_best_checkpoint_and_stages_are_that_of_the_last(shelf: Shelf, tmp_path: Path) -> None:
    one, two = write_run(tmp_path, "m-one/1"), write_run(tmp_path, "m-two/2")
    stages = write_group(tmp_path, "m/3", STAGES, {"one": one, "two": two})
    assert path_of(shelf.open([find(one)])) == one / "best.pth"
    assert path_of(shelf.open([find(stages)])) == two / "best.pth"
    assert path_of(shelf.open([find(one / "last.pth")])) == one / "last.pth"


def test_folds_are_all_that_are_finished_by_their_number(shelf: Shelf, tmp_path: Path) -> None:
    runs = {f"fold{fold}": write_run(tmp_path, f"m-fold{fold}/1", "finished" if fold else "running") for fold in (2, 0, 1)}
    found = shelf.open([find(write_group(tmp_path, "m/3", FOLDS, dict(runs)))])
    assert isinstance(found, FoldModels) and found.missing == [0]
    assert {fold: model.path.parent for fold, model in found.models.items()} == {1: runs["fold1"], 2: runs["fold2"]}


def test_of_staged_folds_the_last_stage_counts(shelf: Shelf, tmp_path: Path) -> None:
    runs = {f"fold0/{stage}": write_run(tmp_path, f"m-{stage}-fold0/1") for stage in ("one", "two")}
    found = shelf.open([find(write_group(tmp_path, "m/3", FOLDS, dict(runs)))])
    assert [model.path.parent for model in found.checkpoints] == [runs["fold0/two"]]


def test_a_group_none_of_whose_folds_is_finished_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    group = write_group(tmp_path, "m/3", FOLDS, {"fold0": None})
    with pytest.raises(UserError, match="none of its folds is finished; train it first"):
        shelf.open([find(group)])


def test_a_group_with_a_run_that_is_no_fold_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    group = write_group(tmp_path, "m/3", FOLDS, {"zero": write_run(tmp_path, "m-zero/1")})
    with pytest.raises(UserError, match="zero: the config of its run has no folds; join the folds anew"):
        shelf.open([find(group)])


def test_an_ensemble_is_its_members_with_their_weights(shelf: Shelf, tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{name}/1") for name in ("a", "b")]
    folder = write_ensemble(tmp_path / "both", *runs)
    record = EnsembleRecord.read(folder)
    shares = [
        dataclasses.replace(share, weight=weight, checkpoints=[f"hash of {name}"])
        for share, weight, name in zip(record.shares, (0.25, 0.75), "ab", strict=True)
    ]
    dataclasses.replace(record, shares=shares, fitted={"F1": {"threshold": 0.5}}).write(folder)
    found = shelf.open([find(folder)])
    assert isinstance(found, FusedPredictor) and found.weights == [0.25, 0.75]
    assert found.stored("test") == {"F1": {"threshold": 0.5}}
    dataclasses.replace(record, shares=shares[::-1]).write(folder)
    assert isinstance(shelf.open([find(folder)]), FusedPredictor)
    dataclasses.replace(record, shares=[dataclasses.replace(shares[0], checkpoints=["hash of b"]), shares[1]]).write(folder)
    with pytest.raises(UserError, match="a/1: is not what its weight in .*both was fitted for; fit it again"):
        shelf.open([find(folder)])


def test_several_are_one(shelf: Shelf, tmp_path: Path) -> None:
    found = shelf.open([find(write_run(tmp_path, f"{name}/1")) for name in ("a", "b")])
    assert isinstance(found, FusedPredictor) and found.weights is None


def test_predictions_are_no_model(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder of predictions, and one model is wanted"):
        shelf.open([EvaluationFolder(tmp_path)])


@pytest.mark.parametrize("name", ["other", "apart", "elsewhere"])
def test_models_of_other_classes_are_not_averaged(shelf: Shelf, tmp_path: Path, name: str) -> None:
    runs = [find(write_run(tmp_path, f"{one}/1")) for one in ("a", name)]
    with pytest.raises(UserError, match=f"{name}/1/best.pth: has other classes than .*a/1/best.pth; their predictions cannot"):
        shelf.open(runs)


def test_checkpoints_that_read_alike_share_a_loader(shelf: Shelf, tmp_path: Path) -> None:
    run = write_run(tmp_path, "a/1")
    same = [shelf.checkpoint(run / name).loader for name in ("best.pth", "last.pth")]
    assert same[0] is same[1] and shelf.checkpoint(write_run(tmp_path, "b/1") / "best.pth").loader is not same[0]
