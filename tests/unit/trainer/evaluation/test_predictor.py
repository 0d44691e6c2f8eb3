"""A checkpoint, folds and several models, each predicting as one thing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest
from base.predictions import Predictions
from tests.predictors import Fake, table
from trainer.evaluation.predictor import FoldModels, FusedPredictor, Place, fused
from utils.errors import UserError


@pytest.fixture
def folds(tmp_path: Path) -> FoldModels:
    """Two folds of a, b, c and d, each trained on what the other holds out."""
    runs = tmp_path / "saved" / "models"
    first = Fake(runs / "x-fold0/1/best.pth", 1.0, 0, train="bd", valid="ac", test="xy")
    second = Fake(runs / "x-fold1/2/best.pth", 3.0, 1, train="ac", valid="bd", test="xy")
    return FoldModels(runs / "x" / "3", {1: second, 0: first}, [])


# A checkpoint -------------------------------------------------------------------------------------------------------


def test_predictions_of_a_checkpoint_are_kept_in_its_runs_log_by_split_and_name(tmp_path: Path) -> None:
    model = Fake(tmp_path / "saved/models/x/1/best.pth", 1.0)
    assert model.folder("valid") == tmp_path / "saved/log/x/1/valid-best"


def test_a_checkpoint_of_another_split_is_refused_on_validation(tmp_path: Path) -> None:
    Fake(tmp_path / "best.pth", 1.0).require_held_out()
    with pytest.raises(UserError, match=r"was trained on another split \(other\) than the validation samples here \(here\)"):
        Fake(tmp_path / "best.pth", 1.0, split_hash="other").require_held_out()


def test_the_origin_names_file_config_and_split(tmp_path: Path) -> None:
    path = tmp_path / "saved/models/x/1/best.pth"
    origin = Fake(path, 1.0).origin("valid")
    assert origin["checkpoints"] == [{"path": str(path), "sha256": "sha256 of best.pth", "run": "1"}]
    assert (origin["config_hash"], origin["split_hash"]) == ("config", "here")


# Folds --------------------------------------------------------------------------------------------------------------


def test_a_sample_is_predicted_by_the_fold_that_held_it_out(folds: FoldModels) -> None:
    found = folds.predict("valid")
    assert found.ids() == ["a", "b", "c", "d"] and found.array("value")[:, 0].tolist() == [1.0, 3.0, 1.0, 3.0]
    assert folds.table("valid").numbers("fold").tolist() == [0, 1, 0, 1]
    assert folds.picture("valid", 3)[0, 0, 0] == 1  # d is the second sample of its fold


def test_worker_processes_of_a_fold_end_before_the_next_one_predicts(folds: FoldModels) -> None:
    folds.predict("valid")
    assert [model.closed for model in folds.checkpoints if isinstance(model, Fake)] == [1, 1]


def test_other_splits_are_predicted_by_all_folds_and_averaged(folds: FoldModels) -> None:
    assert folds.predict("test").array("value")[:, 0].tolist() == [2.0, 2.0]


def test_the_origin_of_what_was_held_out_does_not_say_where_or_when(folds: FoldModels) -> None:
    origin = folds.origin("valid")
    assert origin["checkpoints"] == [{"fold": fold, "weights": "sha256 of best.pth"} for fold in (0, 1)]
    assert "config_hash" not in origin and "path" in folds.origin("test")["checkpoints"][0]


def test_a_fold_that_is_missing_is_named(folds: FoldModels) -> None:
    folds.require_whole()
    with pytest.raises(UserError, match="fold 1 is not finished; train it first, or use --split test"):
        FoldModels(folds.place, {0: folds.models[0]}, [1]).require_whole()


def test_a_training_sample_that_no_fold_holds_out_is_named(tmp_path: Path) -> None:
    first, second = Fake(tmp_path, 1.0, 0, train="bde", valid="ac"), Fake(tmp_path, 3.0, 1, train="ac", valid="bd")
    with pytest.raises(UserError, match=r"1 training samples are held out in no fold \(e\); train anew"):
        FoldModels(tmp_path, {0: first, 1: second}, []).require_whole()


def test_what_was_fitted_on_all_folds_is_used_as_long_as_the_weights_are_the_same(folds: FoldModels) -> None:
    place = folds.folder("valid")
    place.mkdir(parents=True)
    assert folds.stored("test") == {}
    for checkpoints, expected in ((folds.origin("valid")["checkpoints"], {"Mean": {}}), ([{"fold": 0, "weights": "others"}], {})):
        manifest = Manifest("valid", checkpoints, fitted={"Mean": {}})
        Evaluation(place, folds.predict("valid"), manifest, folds.table("valid")).write()
        assert folds.stored("test") == expected
    assert folds.stored("valid") == {}


# Several ------------------------------------------------------------------------------------------------------------


def test_several_are_averaged_by_their_weights(tmp_path: Path) -> None:
    members = [Fake(tmp_path / "a.pth", 1.0, test="xy"), Fake(tmp_path / "b.pth", 2.0, test="xy")]
    assert FusedPredictor(members).predict("test").array("value")[:, 0].tolist() == [1.5, 1.5]
    assert FusedPredictor(members, [0.75, 0.25]).predict("test").array("value")[:, 0].tolist() == [1.25, 1.25]
    assert FusedPredictor(members, [0.75, 0.25]).origin("test")["weights"] == [0.75, 0.25]
    assert "weights" not in FusedPredictor(members).origin("test")


def test_predictions_of_several_are_kept_with_the_first_or_with_the_ensemble(tmp_path: Path) -> None:
    members = [Fake(tmp_path / "saved/models/x/1/best.pth", 1.0), Fake(tmp_path / "saved/models/x/2/best.pth", 2.0)]
    assert FusedPredictor(members).folder("test") == tmp_path / "saved/log/x/1/test-best-and-1-more"
    ensemble = FusedPredictor(members, place=Place(tmp_path / "both", {"Mean": {"threshold": 0.25}}))
    assert (ensemble.folder("test"), ensemble.folder("valid")) == (tmp_path / "both/test", tmp_path / "both/out-of-fold")
    assert ensemble.stored("test") == {"Mean": {"threshold": 0.25}} and FusedPredictor(members).stored("test") == {}


def test_several_that_were_validated_on_different_samples_are_refused(tmp_path: Path) -> None:
    members = [Fake(tmp_path / "a.pth", 1.0, valid="ab"), Fake(tmp_path / "b.pth", 2.0, valid="ac")]
    with pytest.raises(UserError, match=r"a.pth and .*b.pth: were validated on different samples"):
        FusedPredictor(members).require_held_out()


def test_several_are_resampled_if_one_of_them_is(folds: FoldModels, tmp_path: Path) -> None:
    single = Fake(tmp_path, 1.0)
    assert FusedPredictor([single, folds]).resampled and not FusedPredictor([single, single]).resampled


def test_a_column_that_not_all_predict_is_left_out_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class More(Fake):
        def predict(self, split: str, precision: str | None = None) -> Predictions:
            columns = {"value": torch.ones(1, 2), "more": torch.ones(1, 2)}
            return Predictions.of(["x"], columns)

    found = FusedPredictor([Fake(tmp_path, 3.0, test="x"), More(tmp_path, 1.0, test="x")]).predict("test")
    assert found.names == ["value"] and "left out, since not all predict it: more" in capsys.readouterr().out


# Fused --------------------------------------------------------------------------------------------------------------


def test_predictions_with_nan_are_not_fused(tmp_path: Path) -> None:
    model, bad = Fake(tmp_path, 1.0), Fake(tmp_path, float("nan"))
    with pytest.raises(UserError, match="predictions of a and 1 more are not finite|predictions of a, b are not finite"):
        fused(model, [model.values("ab"), bad.values("ab")])
    fused(model, [bad.values("ab")])  # alone it is shown as it is


def test_what_the_first_models_metrics_need_must_be_predicted_by_all(tmp_path: Path) -> None:
    model = Fake(tmp_path, 1.0)
    model.loaded.spec.classes["value"] = ["no", "yes"]
    other = Predictions.of(["a"], {"other": torch.ones(1, 2)})
    with pytest.raises(UserError, match='predicts "value", which others do not; their predictions cannot be fused'):
        fused(model, [model.values("a"), other])
    assert model.loaded.spec != DataSpec()


def test_the_table_of_other_splits_is_that_of_the_first(folds: FoldModels) -> None:
    assert folds.table("test").ids() == table("xy").ids()
