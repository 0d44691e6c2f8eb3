"""Verification from the command line: trained, tested, searched, and refused in one line."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import laurel
from base.verification.pairs import pairs_of
from tests.helpers import ROOT, build_trainer, run
from trainer.experiment import build, loading
from trainer.training.predict import predict
from utils.checkpoint import CheckpointFolder
from utils.errors import UserError

CONFIG = ROOT / "configs" / "verify_timm.json"


def write(folder, data, trainer=None, **changes):
    values = {
        "extends": str(CONFIG),
        "name": "tiny",
        "arch": {"args": {"backbone": "test_resnet", "embedding_size": 16}},
        "data_loader": {
            "args": {
                "data_dir": str(data), "image_size": [32, 32], "num_workers": 0, "train_transforms": [], "eval_transforms": [],
                "batch_size": 16, "sampler": {"args": {"identities": 8, "images": 2}}, **changes,
            }
        },
        "trainer": {
            "epochs": 2, "precision": "fp32", "save_dir": str(folder / "saved"), "tensorboard": False, "verbosity": 0,
            **(trainer or {}),
        },
    }  # fmt: skip
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, verify_folder):
    folder = tmp_path_factory.mktemp("trained")
    result = run(folder, "train.py", "-c", write(folder, verify_folder))
    assert result.status == 0, result.errors
    (models,) = (folder / "saved/models/tiny").iterdir()
    return SimpleNamespace(folder=folder, models=models, best=models / "best.pth", data=verify_folder)


def evaluated(trained, *args):
    output = trained.folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    result = run(trained.folder, "test.py", "-r", trained.best, "-o", output, "--verbosity", "0", *args)
    assert result.status == 0, result.errors
    return output


def test_validation_again_gives_the_accuracy_that_made_it_the_best(trained):
    scores = json.loads((evaluated(trained, "--split", "valid") / "metrics.json").read_text())
    stored = torch.load(trained.best, weights_only=True)["monitor"]["best"]
    assert scores["accuracy"] == stored


def test_the_test_list_is_answered_in_its_order_and_its_scores_kept(trained):
    output = evaluated(trained)
    listed = (trained.data / "test/test_label.csv").read_text().splitlines()[1:]
    answers = (output / "prediction.txt").read_text().splitlines()
    assert [line.split()[:2] for line in answers] == [line.split(",")[:2] for line in listed]
    assert {line.split()[2] for line in answers} <= {"0", "1"}
    assert pq.read_table(output / "pairs.parquet").num_rows == len(listed)
    assert pq.read_table(output / "predictions.parquet").column_names == ["id", "error", "embedding"]


def test_permuted_labels_of_the_test_list_move_neither_threshold_nor_answer(trained, tmp_path):
    data = shutil.copytree(trained.data, tmp_path / "data")
    head, *rows = (data / "test/answers.csv").read_text().splitlines()
    pairs, labels = zip(*(row.rsplit(",", 1) for row in rows), strict=True)
    reader = '{"type": "PairReader", "args": {"file": "test/test_label.csv", "root": "test", "same": "0"}}'
    accuracies, rest = [], []
    for given in (labels, ["1" if label == "0" else "0" for label in labels]):  # half of them are 0
        lines = [head, *(f"{pair},{label}" for pair, label in zip(pairs, given, strict=True))]
        (data / "test/test_label.csv").write_text("\n".join(lines) + "\n")
        output = evaluated(
            trained, "--set", f"data_loader.args.data_dir={data}", "--set", f"data_loader.args.test_reader={reader}"
        )
        scores = json.loads((output / "metrics.json").read_text())
        fitted = json.loads((output / "predictions.manifest.json").read_text())["fitted"]
        accuracies.append(scores["accuracy"])
        rest.append((scores["threshold"], fitted, (output / "prediction.txt").read_bytes()))
    assert rest[0] == rest[1]
    assert sum(accuracies) == pytest.approx(1)  # the labels were read, and scored


def test_a_picture_is_embedded_once_however_many_pairs_name_it(trained):
    loaded = loading.load_model(trained.best, torch.device("cpu"))
    loader = build.build_loader(loaded.experiment, torch.device("cpu"))
    seen = []
    loaded.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    inference = build.build_inference(loaded.experiment, loaded.spec)
    predict(loaded.model, loader, "valid", torch.device("cpu"), inference)
    pictures, pairs = len(loader.table("valid")), pairs_of(loader.table("valid"))
    assert sum(seen) == pictures * (1 + len(inference.views))
    assert len(pairs.first) * 2 > pictures  # or every pair would have pictures of its own


def test_two_checkpoints_are_averaged(trained):
    output = trained.folder / "both"
    args = ("-r", trained.best, "-r", trained.models / "last.pth", "-o", output, "--split", "valid", "--verbosity", "0")
    assert run(trained.folder, "test.py", *args).status == 0
    assert "accuracy" in json.loads((output / "metrics.json").read_text())


def test_another_precision_is_used_if_asked_for_and_its_difference_reported(trained):
    args = ("-r", trained.best, "-o", trained.folder / "half", "--split", "valid", "--set", "trainer.precision=bf16")
    result = run(trained.folder, "test.py", *args, "--verbosity", "0")
    assert result.status == 0, result.errors
    assert "in bf16 instead of fp32 predictions differ: embedding by at most 0.0" in result.output


def test_the_projector_of_tensorboard_gets_embeddings_when_the_run_is_complete(verify_folder, tmp_path):
    trainer = build_trainer(write(tmp_path, verify_folder, trainer={"tensorboard": True, "epochs": 1}))
    assert trainer.fit() == 0
    (metadata,) = (tmp_path / "saved").rglob("metadata.tsv")
    assert set(metadata.read_text().split()) <= set(trainer.loader.table("valid").ids())


def test_a_gallery_is_searched_and_the_query_itself_found_first(trained, lfw_folder, tmp_path):
    query = lfw_folder / "lfw/Person_3/Person_3_0002.jpg"
    args = ("search", "-r", trained.best, "--gallery", lfw_folder / "lfw", "--query", query, "--top", "3")
    found = run(tmp_path, "laurel.py", *args)
    assert found.status == 0, found.errors
    lines = found.output.splitlines()
    assert len(lines) == 4 and lines[1].split()[1:] == ["1.0000", "Person_3", "(Person_3/Person_3_0002.jpg)"]


def test_a_program_gets_unit_vectors_and_decisions_at_the_threshold_of_validation(trained):
    model = laurel.load(trained.models, device="cpu")
    paths = sorted(trained.data.rglob("*.jpg"))[:4]
    vectors = model.embed(paths)
    assert vectors.shape == (4, 16) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)

    threshold = torch.load(trained.best, weights_only=True)["fitted"]["PairScores"]["threshold/cosine"]
    compared = model.compare(paths[0], paths)
    assert compared["similarity"].to_numpy() == pytest.approx(vectors @ vectors[0], abs=2e-3)
    assert compared["similarity"][0] == pytest.approx(1, abs=1e-3)
    assert (compared["same"] == (compared["similarity"] >= threshold)).all()


def test_sides_of_different_lengths_are_refused(trained):
    paths = sorted(trained.data.rglob("*.jpg"))[:5]
    with pytest.raises(UserError, match="compare: found 2 and 3 pictures; allowed: equally many, or one picture"):
        laurel.load(trained.models, device="cpu").compare(paths[:2], paths[2:])


def test_lfws_second_view_is_scored_by_cross_validation(trained, lfw_folder):
    reader = '{"type": "LfwPairsReader", "args": {"root": "lfw"}}'
    sets = (f"data_loader.args.data_dir={lfw_folder}", f"data_loader.args.test_reader={reader}")
    output = evaluated(trained, "--split", "test", *(part for value in sets for part in ("--set", value)))
    scores = json.loads((output / "metrics.json").read_text())
    assert 0 <= scores["accuracy/folds"] <= 1


def test_a_missing_picture_of_a_pair_is_one_line_and_status_2(verify_folder, tmp_path):
    data = shutil.copytree(verify_folder, tmp_path / "data")
    gone = sorted((data / "validate").glob("*.jpg"))[0]
    gone.unlink()
    result = run(tmp_path, "train.py", "-c", write(tmp_path, data))
    assert (result.status, len(result.lines)) == (2, 1) and f"{gone.name} of the pairs to compare is not there" in result.errors


def test_a_person_on_both_sides_is_one_line_and_status_2(lfw_folder, tmp_path):
    changes = {
        "reader": {"type": "LfwPairsReader", "args": {"file": "pairsDevTrain.txt", "root": "lfw"}},
        "identity": "person",
        "valid_reader": {"type": "LfwPairsReader", "args": {"file": "both.txt", "root": "lfw"}},
        "test_reader": None,
    }
    shared = (lfw_folder / "pairsDevTrain.txt").read_text().splitlines()[1].split("\t")[0]
    data = shutil.copytree(lfw_folder, tmp_path / "data")
    lines = (data / "pairsDevTest.txt").read_text().splitlines()
    lines[1] = f"{shared}\t1\t2"
    (data / "both.txt").write_text("\n".join(lines) + "\n")
    result = run(tmp_path, "train.py", "-c", write(tmp_path, data, **changes))
    assert (result.status, len(result.lines)) == (2, 1), result.errors
    assert "values of person" in result.errors and shared in result.errors


@pytest.mark.parametrize(("value", "message"), [(0.0, "is a zero vector"), (float("nan"), "is not finite")])
def test_embeddings_that_cannot_be_compared_are_one_line_and_status_2(value, message, trained, tmp_path):
    state = torch.load(trained.best, weights_only=True)
    for weights in filter(None, (state["model"], state.get("ema"))):
        weights["neck.weight"].zero_()
        weights["neck.bias"].fill_(value)
    CheckpointFolder(tmp_path).save(state, ["broken.pth"])
    args = ("-r", tmp_path / "broken.pth", "-o", tmp_path / "out", "--split", "valid", "--verbosity", "0")
    result = run(tmp_path, "test.py", *args)
    assert (result.status, len(result.lines)) == (2, 1), result.errors
    assert message in result.errors and ".jpg" in result.errors


def test_a_list_of_one_kind_is_one_line_and_status_2(verify_folder, tmp_path):
    data = shutil.copytree(verify_folder, tmp_path / "data")
    path = data / "validate/validate_label.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.endswith(",1")) + "\n")
    result = run(tmp_path, "train.py", "-c", write(tmp_path, data))
    assert (result.status, len(result.lines)) == (2, 1) and "none of its" in result.errors
