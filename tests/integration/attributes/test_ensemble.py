"""Groups of folds as an ensemble: weights fitted on what was held out, kept, and used."""

import json

import numpy as np
import pytest
import torch

from base.predictions import Predictions
from base.saved.door import find, groups
from base.saved.group import Group
from tests.attributes.tiny import write_config
from tests.helpers import launch
from trainer.evaluation import compare
from trainer.evaluation.ensemble import fit
from trainer.evaluation.predictor import fused
from trainer.evaluation.shelf import Shelf
from trainer.evaluation.testing import run_test
from utils.errors import UserError

QUICK = {"data_loader.args.split.folds": 2, "trainer.epochs": 1, "data_loader.args.batch_size": 32}


def predicted(resume, output, split=None):
    run_test([find(resume)], torch.device("cpu"), split=split, output=output)
    return Predictions.read(output / "predictions.parquet")


@pytest.fixture(scope="module")
def world(tmp_path_factory, masks_folder):
    """The folders of two groups of two folds, trained with other seeds, and of their ensemble."""
    folder, found = tmp_path_factory.mktemp("ensemble"), []
    for name, seed in (("one", 1), ("two", 2)):
        config = write_config(folder, masks_folder, {**QUICK, "name": name, "seed": seed}, f"{name}.json")
        assert launch(config, folds="all") == 0
        found += groups(folder / "saved", name)
    fit(list(map(find, found)), folder / "both", "max accuracy", Shelf(torch.device("cpu")))
    return (*found, folder / "both")


@pytest.fixture
def shelf():
    return Shelf(torch.device("cpu"))


def ensemble(folder):
    return json.loads((folder / "ensemble.json").read_text())


def test_the_weights_are_kept_with_the_score_that_they_give(world):
    content = ensemble(world[2])
    assert sum(entry["weight"] for entry in content["members"]) == pytest.approx(1)
    assert content["score"] >= max(entry["alone"] for entry in content["members"])
    scores = json.loads((world[2] / "out-of-fold" / "metrics.json").read_text())
    assert scores["accuracy"] == pytest.approx(content["score"]) and "accuracy" in scores["intervals"]


def test_the_ensemble_is_tested_as_one_with_its_weights(world, tmp_path):
    content = {**ensemble(world[2])}
    weights = [0.75, 0.25]
    for entry, weight in zip(content["members"], weights, strict=True):
        entry |= {"weight": weight, "path": str(world[2] / entry["path"])}
    (tmp_path / "ensemble.json").write_text(json.dumps(content))
    together, manifest = predicted(tmp_path, tmp_path / "out")
    alone = [predicted(group, tmp_path / group.parent.name)[0].array("age") for group in world[:2]]
    assert manifest["weights"] == weights and len(manifest["checkpoints"]) == 4
    np.testing.assert_allclose(together.array("age"), np.average(alone, axis=0, weights=weights), atol=1e-6)
    assert (tmp_path / "out" / "info.csv").exists()


def test_validating_an_ensemble_repeats_the_predictions_it_was_fitted_on(world, tmp_path):
    again, _ = predicted(world[2], tmp_path, "valid")
    kept, _ = Predictions.read(world[2] / "out-of-fold" / "predictions.parquet")
    assert again.columns.equals(kept.columns)


def test_an_ensemble_is_refused_if_a_member_has_other_weights(world, tmp_path, shelf):
    content = ensemble(world[2])
    for entry in content["members"]:
        entry["path"] = str(world[2] / entry["path"])
    content["members"][0]["path"] = content["members"][1]["path"]
    (tmp_path / "ensemble.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not what its weight in .* was fitted for; fit it again"):
        shelf.open([find(tmp_path)])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"members": []}', '{"members": [{"path": "x"}], "fitted": {}}'])
def test_a_damaged_ensemble_is_refused_in_one_line(tmp_path, shelf, text):
    (tmp_path / "ensemble.json").write_text(text)
    with pytest.raises(UserError, match="ensemble.json: is damaged") as refused:
        shelf.open([find(tmp_path)])
    assert "\n" not in str(refused.value)


def test_fitting_is_refused_if_members_held_out_different_samples(world, tmp_path, shelf):
    group = Group(world[0])
    with pytest.raises(UserError, match="were validated on different samples"):
        fit([find(group.run("fold0")), find(group.run("fold1"))], tmp_path, None, shelf)


def test_predictions_with_nan_are_not_fused(world, shelf):
    model = shelf.open([find(Group(world[0]).run("fold0"))])
    good = Predictions.of(["a", "b"], {"mask": torch.rand(2, 3), "gender": torch.rand(2, 2), "age": torch.rand(2, 3)})
    values = {name: torch.from_numpy(good.array(name)) for name in good.names}
    bad = Predictions.of(["a", "b"], {**values, "age": torch.tensor([[0.1, 0.2, 0.7], [float("nan"), 0.0, 1.0]])})
    with pytest.raises(UserError, match="predictions of b are not finite and cannot be fused"):
        fused(model, [good, bad])


def test_members_are_fused_in_the_columns_that_all_have(world, shelf):
    model = shelf.open([find(Group(world[0]).run("fold0"))])
    columns = {"mask": torch.rand(2, 3), "gender": torch.rand(2, 2), "age": torch.rand(2, 3)}
    own, more = Predictions.of(["a", "b"], columns), Predictions.of(["a", "b"], {"all": torch.rand(2, 18), **columns})
    assert fused(model, [own, more]).names == fused(model, [more, own]).names == own.names
    with pytest.raises(UserError, match='predicts "age", which others do not'):
        fused(model, [own, own.only(["mask", "gender"])])


def test_two_groups_are_compared_by_what_they_held_out(world, shelf):
    a, b = ([compare.evaluation(find(folder), shelf)] for folder in world[:2])
    comparison = compare.compare(a, b)
    assert {"accuracy", "f1", "f1/age"} <= {one.name for one in comparison.differences} and a[0].group == "person"
    assert compare.verdict(comparison, a[0].monitor)


def test_a_run_is_compared_by_its_validation_which_is_made_where_it_is_not_there(world, shelf):
    run = Group(world[0]).run("fold0")
    found = compare.evaluation(find(run), shelf)
    before = (found.folder / "predictions.parquet").stat().st_mtime_ns
    again = compare.evaluation(find(run), shelf)
    assert found.folder.name == "valid-best" and (again.folder / "predictions.parquet").stat().st_mtime_ns == before
