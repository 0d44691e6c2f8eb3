"""One label for all combinations of others, with an angular margin: from its config to the same submission and scores."""

from __future__ import annotations

import csv
import json

import pytest

from base.predictions import Predictions
from tests.attributes.tiny import write_config
from tests.helpers import ROOT, run, run_folders

CHANGES = {
    "extends": str(ROOT / "configs" / "masks_arcface_margin.json"),
    "arch.args.backbone": "test_resnet",
    "trainer.epochs": 1,
}


@pytest.fixture(scope="module")
def tested(masks_folder, tmp_path_factory):
    """The output folder of test.py after a run; not to be changed."""
    folder = tmp_path_factory.mktemp("combined")
    ended = run(folder, "train.py", "-c", write_config(folder, masks_folder, CHANGES))
    assert (ended.status, ended.errors) == (0, "")
    (models,) = run_folders(folder)
    for split in ("valid", "test"):
        ended = run(folder, "test.py", "-r", models, "--split", split, "-o", folder / split, "--verbosity", "0")
        assert (ended.status, ended.errors) == (0, "")
    return folder


def test_the_scores_are_those_of_three_labels_by_name(tested):
    scores = json.loads((tested / "valid" / "metrics.json").read_text())

    assert {f"{score}{label}" for score in ("f1", "accuracy") for label in ("", "/mask", "/gender", "/age")} <= set(scores)


def test_the_submission_has_the_most_probable_class_of_each_picture(tested):
    predictions, manifest = Predictions.read(tested / "test" / "predictions.parquet")
    with (tested / "test" / "info.csv").open() as file:
        answers = {row["ImageID"]: int(row["ans"]) for row in csv.DictReader(file)}

    assert answers == dict(zip(predictions.ids(), predictions.array("class").argmax(1).tolist(), strict=True))
    assert list(manifest["spec"]["combined"]["class"]) == ["mask", "gender", "age"]


def test_the_split_is_that_of_the_three_labels(tested, masks_folder, tmp_path):
    _, manifest = Predictions.read(tested / "valid" / "predictions.parquet")
    assert run(tmp_path, "train.py", "-c", write_config(tmp_path, masks_folder, {"trainer.epochs": 1})).status == 0
    (models,) = run_folders(tmp_path)
    assert run(tmp_path, "test.py", "-r", models, "--split", "valid", "-o", tmp_path / "out", "--verbosity", "0").status == 0

    assert Predictions.read(tmp_path / "out" / "predictions.parquet")[1]["split_hash"] == manifest["split_hash"]
