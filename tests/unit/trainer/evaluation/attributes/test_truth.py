"""Checkpoints are scored together on one set of labels only."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest
from base.saved.names import PREDICTIONS
from tests.predictors import Fake
from trainer.evaluation import held_out
from trainer.evaluation.predictor import FoldModels, FusedPredictor
from trainer.evaluation.testing import evaluate
from trainer.experiment import build
from utils.errors import UserError

SPEC = DataSpec({"mask": ["worn", "not worn"]})


def fake(path: Path, labels: str, fold: int = 0, spec: DataSpec = SPEC, **samples: str) -> Fake:
    """A checkpoint whose samples a, b, c and d have the classes of `labels`, a digit each."""
    model = Fake(path, 1.0, fold, **samples)
    model.labels = {label: dict(zip("abcd", map(int, labels), strict=True)) for label in spec.classes}
    object.__setattr__(model.loaded, "spec", spec)
    model.loaded.experiment.raw.values["metrics"] = [{"type": "AttributeScores"}]
    return model


def test_members_of_one_truth_are_joined(tmp_path: Path) -> None:
    members = [fake(tmp_path / name, "0101", valid="abcd") for name in ("1.pth", "2.pth")]
    FusedPredictor(members).require_same_answers("valid")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_members_of_different_labels_are_refused_before_anything_is_predicted(tmp_path: Path, split: str) -> None:
    both = FusedPredictor([fake(tmp_path / f"{labels}.pth", labels, valid="abcd", test="abcd") for labels in ("0101", "0111")])
    with pytest.raises(
        UserError, match=r"0111.pth: accuracy: 1 of 4 answers are not those of .*0101.pth: c \(not worn, there worn\)"
    ):
        evaluate(both, split, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_that_only_a_later_member_knows_does_not_matter(tmp_path: Path) -> None:
    more = DataSpec({**SPEC.classes, "more": ["yes", "no"]})
    FusedPredictor([fake(tmp_path / "1.pth", "0101", valid="abcd"), fake(tmp_path / "2.pth", "0101", spec=more, valid="abcd")]
            ).require_same_answers("valid")  # fmt: skip


def test_members_whose_samples_have_no_labels_are_not_asked(tmp_path: Path) -> None:
    one, two = fake(tmp_path / "1.pth", "0101", test="abcd"), fake(tmp_path / "2.pth", "1111", test="abcd")
    two.loader.labelled = lambda split: False  # type: ignore[method-assign]
    FusedPredictor([one, two]).require_same_answers("test")


def test_folds_that_were_trained_on_other_labels_are_refused(tmp_path: Path) -> None:
    first = fake(tmp_path / "0.pth", "0101", 0, train="bd", valid="ac")
    second = fake(tmp_path / "1.pth", "0101", 1, train="ac", valid="bd")
    FoldModels(tmp_path, {0: first, 1: second}, []).require_same_answers("valid")
    second = fake(tmp_path / "1.pth", "1101", 1, train="ac", valid="bd")
    with pytest.raises(UserError, match=r"1.pth: accuracy: 1 of 2 answers are not those of .*: a \(not worn, there worn\)"):
        FoldModels(tmp_path, {0: first, 1: second}, []).require_same_answers("valid")


@pytest.mark.parametrize(("labels", "fresh"), [("0101", True), ("0111", False)])
def test_stored_predictions_count_only_for_the_labels_that_are_there_now(
    tmp_path: Path, labels: str, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fake(tmp_path / "saved/models/x/1/best.pth", "0101", valid="abcd")
    folder = model.folder("valid")
    folder.mkdir(parents=True)
    Evaluation(folder, model.predict("valid"), Manifest("valid", **model.origin("valid")), model.table("valid")).write()
    monkeypatch.setattr(build, "build_metrics", lambda experiment, spec: [])
    monkeypatch.setattr(build, "build_submission", lambda experiment, spec: None)
    before = (folder / PREDICTIONS).stat().st_mtime_ns

    found = held_out.held_out(fake(model.path, labels, valid="abcd"))

    assert ((folder / PREDICTIONS).stat().st_mtime_ns == before) is fresh
    assert found.samples.numbers("mask").tolist() == list(map(int, labels))
