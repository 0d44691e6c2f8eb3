"""What follows from predictions: files, scores, what is fitted anew, the submission."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from base.base_metric import BaseMetric
from base.evaluation import Evaluation
from base.predictions import Predictions
from base.table import SampleTable
from tests.predictors import Fake
from trainer.evaluation import testing
from trainer.evaluation.held_out import held_out
from trainer.evaluation.predictor import FusedPredictor
from trainer.evaluation.testing import evaluate
from trainer.experiment import build
from utils.errors import UserError

MASKS = {"data_loader": {"type": "x", "args": {"data_dir": "a"}}, "trainer": {"precision": "fp32"}}


class Mean(BaseMetric):
    """The mean of the predictions less a threshold that is fitted to it."""

    state_key = "Mean"

    def __init__(self) -> None:
        self.threshold = 0.0

    @property
    def names(self) -> list[str]:
        return ["mean"]

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, Any]:
        return {"threshold": float(predictions.array("value").mean())}

    def use(self, fitted: dict[str, Any]) -> None:
        self.threshold = fitted.get("threshold", 0.0)

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        return {"mean": float(predictions.array("value").mean()) - self.threshold}


class Refusing(Mean):
    """A metric that the labels do not suit."""

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        raise UserError("the labels are wrong")


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build_metrics", lambda experiment, spec: [Mean()])
    monkeypatch.setattr(build, "build_submission", lambda experiment, spec: None)


@pytest.fixture
def model(tmp_path: Path) -> Fake:
    return Fake(tmp_path / "saved/models/x/1/best.pth", 3.0, train="ab", valid="cd", test="xyz")


def scores(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


def test_predictions_are_written_with_their_samples_and_what_scores_them(model: Fake, tmp_path: Path) -> None:
    evaluate(model, "valid", tmp_path / "out")
    found = Evaluation.read(tmp_path / "out")
    assert found.predictions.ids() == found.samples.ids() == ["c", "d"]
    assert (found.split, found.monitor, found.manifest.data_dir) == ("valid", "max mean", "/data")
    assert found.manifest.fitted == {"Mean": {"threshold": 0.5}}
    assert found.manifest.checkpoints[0]["sha256"] == "sha256 of best.pth"


def test_what_the_checkpoint_fitted_is_used(model: Fake, tmp_path: Path) -> None:
    evaluate(model, "valid", tmp_path)
    assert scores(tmp_path) == {"loss": 2.0, "mean": 2.5}


def test_predictions_are_there_even_if_the_labels_are_wrong(model: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build_metrics", lambda experiment, spec: [Refusing()])
    with pytest.raises(UserError, match="the labels are wrong"):
        evaluate(model, "valid", tmp_path)
    assert Evaluation.read(tmp_path).predictions.ids() == ["c", "d"]


def test_for_several_what_is_fitted_is_fitted_anew_on_validation(
    model: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Fake(tmp_path / "saved/models/x/2/best.pth", 5.0, valid="cd", test="xyz")
    evaluate(FusedPredictor([model, other]), "test", tmp_path / "out")
    assert Evaluation.read(tmp_path / "out").manifest.fitted == {"Mean": {"threshold": 4.0}}
    assert "fitted on validation with these predictions" in capsys.readouterr().out


def test_without_a_validation_in_common_the_first_ones_is_used_with_a_warning(
    model: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Fake(tmp_path / "saved/models/x/2/best.pth", 5.0, valid="ef", test="xyz")
    evaluate(FusedPredictor([model, other]), "test", tmp_path / "out")
    assert Evaluation.read(tmp_path / "out").manifest.fitted == {"Mean": {"threshold": 0.5}}
    assert "warning: the checkpoints have no validation in common" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "as_trained"),
    [
        ({}, True),
        ({"data_loader": {"type": "x", "args": {"data_dir": "b", "num_workers": 3, "test_reader": None}}}, True),
        ({"trainer": {"precision": "fp32", "epochs": 3}, "submission": None, "budget": {}}, True),
        ({"data_loader": {"type": "x", "args": {"data_dir": "a", "image_size": [9, 9]}}}, False),
        ({"trainer": {"precision": "bf16"}}, False),
        ({"views": [{"type": "FlipView"}]}, False),
    ],
)
def test_what_was_fitted_still_fits_if_predictions_are_made_as_in_training(
    model: Fake, changes: dict[str, Any], as_trained: bool
) -> None:
    model.loaded.state["config"] = MASKS  # type: ignore[index]
    model.loaded.experiment.raw = type(model.loaded.experiment.raw)(values={**MASKS, **changes})  # type: ignore[misc, call-arg]
    assert testing._as_trained(model) is as_trained


def test_other_data_than_those_of_training_are_said(model: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    model.loaded.state["fingerprint"] = {"data_loader.args.crops": "1"}  # type: ignore[index]
    testing.say_other_data(model)
    assert "was trained on other data_loader.args.crops than these" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_one_line(model: Fake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/out: cannot be made .*; choose another with -o"):
        evaluate(model, "valid", tmp_path / "file" / "out")


# Held out -----------------------------------------------------------------------------------------------------------


def test_what_is_on_disk_and_of_these_weights_is_not_made_again(model: Fake) -> None:
    first = held_out(model)
    before = first.file.stat().st_mtime_ns
    assert held_out(model).file.stat().st_mtime_ns == before
    (first.folder / "samples.parquet").unlink()
    assert held_out(model).file.stat().st_mtime_ns > before


def test_predictions_of_other_weights_or_of_other_views_are_made_anew(model: Fake) -> None:
    before = held_out(model).file.stat().st_mtime_ns
    model.loaded.experiment.raw.values["views"] = [{"type": "FlipView"}]
    after = held_out(model).file.stat().st_mtime_ns
    assert after > before
    again = Fake(model.path, 3.0, valid="cd")
    again.loaded.__dict__["digest"] = "another"
    again.loaded.experiment.raw.values["views"] = [{"type": "FlipView"}]
    assert held_out(again).file.stat().st_mtime_ns > after


def test_predictions_that_cannot_be_read_are_made_anew(model: Fake) -> None:
    file = held_out(model).file
    file.write_bytes(b"damaged")
    assert held_out(model).predictions.ids() == ["c", "d"]
