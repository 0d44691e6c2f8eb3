"""Folds of people to verify: pairs are made within a fold, and vectors of several folds stand side by side."""

import json

import numpy as np
import pytest
import torch

from base.predictions import Predictions
from base.saved.door import find, groups
from base.table import SampleTable
from base.verification.pairs import pairs_of
from tests.helpers import ROOT, launch
from trainer.evaluation.testing import run_test


@pytest.fixture(scope="module")
def world(tmp_path_factory, verify_folder):
    """The folder of a group of three folds, and that of what they held out."""
    folder = tmp_path_factory.mktemp("folds")
    values = {
        "extends": str(ROOT / "configs" / "examples" / "verify_folds.json"),
        "name": "tiny",
        "arch": {"args": {"backbone": "test_resnet", "embedding_size": 16}},
        "data_loader": {
            "args": {
                "data_dir": str(verify_folder), "image_size": [32, 32], "num_workers": 0, "train_transforms": [],
                "eval_transforms": [], "batch_size": 8, "sampler": {"args": {"identities": 4, "images": 2}},
                "split": {"folds": 3},
            }
        },
        "trainer": {"epochs": 1, "precision": "fp32", "save_dir": str(folder / "saved"), "tensorboard": False, "verbosity": 0},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values))
    assert launch(folder / "config.json", folds="all") == 0
    (group,) = groups(folder / "saved", "tiny")
    return group, folder / "saved" / "log" / "tiny" / group.name / "out-of-fold"


def test_the_pairs_of_all_folds_are_scored_at_one_threshold_with_intervals(world):
    scores = json.loads((world[1] / "metrics.json").read_text())
    assert {"accuracy", "f1", "auc", "threshold", "accuracy/folds"} <= scores.keys()
    assert scores["intervals"]["accuracy"] == [scores["accuracy/low"], scores["accuracy/high"]]


def test_pairs_are_of_one_fold_and_people_are_told_apart_over_all(world):
    table = SampleTable.read(world[1] / "samples.parquet")
    pairs, folds = pairs_of(table), table.numbers("fold")
    assert (folds[pairs.first] == folds[pairs.second]).all() and set(folds) == {0, 1, 2}
    people, names = table.numbers("identity"), np.array(table.strings("face_id"))
    assert len(set(people)) == len(set(names)) == len(set(zip(people, names, strict=True)))


def test_testing_a_group_concatenates_the_embeddings_of_its_folds(world, tmp_path):
    run_test([find(world[0])], torch.device("cpu"), output=tmp_path)
    predictions, manifest = Predictions.read(tmp_path / "predictions.parquet")
    assert predictions.array("embedding").shape[1] == 3 * 2 * 16  # of each fold, plain and mirrored
    assert manifest["fitted"] == Predictions.read(world[1] / "predictions.parquet")[1]["fitted"]
    assert (tmp_path / "prediction.txt").exists()
    assert torch.allclose(torch.from_numpy(predictions.array("embedding")).norm(dim=1), torch.ones(1), atol=1e-4)
