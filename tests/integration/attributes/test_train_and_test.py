"""From a config to a submission, and what happens on the way when something given is wrong."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from base.predictions import Predictions
from tests.attributes.tiny import write_config
from tests.helpers import run, run_folders
from utils import files
from utils.checkpoint import CheckpointFolder
from utils.checkpoint_names import BEST, LAST

EPOCHS = ["checkpoint-epoch1.pth", "checkpoint-epoch2.pth"]


@pytest.fixture(scope="module")
def trained(masks_folder, tmp_path_factory):
    """The model folder of a finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    ended = run(folder, "train.py", "-c", write_config(folder, masks_folder, {"trainer.verbosity": 1}))
    assert (ended.status, ended.errors) == (0, "")
    (models,) = run_folders(folder)
    return models


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of it, to be spoilt."""
    shutil.copytree(trained.parents[2], tmp_path / "saved")
    return tmp_path / "saved" / "models" / trained.parent.name / trained.name


def predict(tmp_path, *args):
    """test.py into `tmp_path/out`: the predictions, their manifest and the scores."""
    out = tmp_path / "out"
    ended = run(tmp_path, "test.py", *args, "-o", out, "--verbosity", "1")
    assert (ended.status, ended.errors) == (0, "")
    predictions, manifest = Predictions.read(out / "predictions.parquet")
    metrics = out / "metrics.json"
    return predictions, manifest, json.loads(metrics.read_text()) if metrics.exists() else {}


# What comes out -----------------------------------------------------------------------------------------------------


def test_a_run_leaves_everything_that_is_needed_to_repeat_it(trained):
    left = {path.name for path in trained.iterdir()} - {".lock"}

    assert left == {"config.json", "source.json", "manifest.json", "status.json", BEST, LAST, *EPOCHS}
    assert json.loads((trained / "status.json").read_text())["status"] == "finished"
    state = CheckpointFolder(trained).load(LAST)
    assert state["config"] == json.loads((trained / "config.json").read_text())
    assert state["config_hash"] == files.hash_json(state["config"])


@pytest.mark.parametrize("name", [BEST, *EPOCHS])
def test_the_scores_stored_with_a_checkpoint_are_reproduced_exactly(trained, tmp_path, name):
    _, _, metrics = predict(tmp_path, "-r", trained / name, "--split", "valid")
    stored = CheckpointFolder(trained).load(name)["scores"]

    assert {f"val/{key}": value for key, value in metrics.items()} == {k: v for k, v in stored.items() if k.startswith("val/")}
    assert len(metrics) > 5


def test_the_best_checkpoint_is_that_of_the_best_monitored_score(trained):
    scores = [CheckpointFolder(trained).load(name)["scores"]["val/f1"] for name in EPOCHS]

    assert CheckpointFolder(trained).load(BEST)["scores"]["val/f1"] == max(scores)


def test_the_submission_has_the_rows_of_the_sample_file_in_their_order(trained, tmp_path, masks_folder):
    predictions, _, _ = predict(tmp_path, "-r", trained)
    with (masks_folder / "eval" / "info.csv").open() as wanted, (tmp_path / "out" / "info.csv").open() as written:
        asked, answered = list(csv.DictReader(wanted)), list(csv.DictReader(written))
    combined = 0
    for label, classes in (("mask", 3), ("gender", 2), ("age", 3)):
        combined = combined * classes + predictions.array(label).argmax(axis=1)
    answers = dict(zip(predictions.ids(), combined.tolist(), strict=True))

    assert [row["ImageID"] for row in answered] == [row["ImageID"] for row in asked]
    assert [int(row["ans"]) for row in answered] == [answers[row["ImageID"]] for row in asked]


def test_predictions_say_where_they_come_from(trained, tmp_path):
    predictions, manifest, _ = predict(tmp_path, "-r", trained, "--split", "valid")
    state = CheckpointFolder(trained).load(BEST)

    assert manifest == json.loads((tmp_path / "out" / "predictions.manifest.json").read_text())
    assert manifest["checkpoints"][0]["sha256"] == files.sha256(trained / BEST)
    assert manifest["config_hash"] == state["config_hash"]
    assert manifest["split_hash"] == state["split_hash"]
    assert predictions.names == list(manifest["spec"]["classes"])


def test_several_checkpoints_are_averaged(trained, tmp_path):
    alone = []
    for number, name in enumerate(EPOCHS):
        (tmp_path / str(number)).mkdir()
        alone.append(predict(tmp_path / str(number), "-r", trained / name, "--split", "valid")[0])
    together, manifest, metrics = predict(tmp_path, "-r", trained / EPOCHS[0], "-r", trained / EPOCHS[1], "--split", "valid")

    assert [one["path"] for one in manifest["checkpoints"]] == [str(trained / name) for name in EPOCHS]
    assert set(metrics) >= {"f1", "accuracy"}
    for label in together.names:
        assert np.allclose(together.array(label), np.mean([one.array(label) for one in alone], axis=0))


def test_a_run_can_be_moved_to_another_folder(copied, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.move(copied / BEST, moved.with_suffix(".pth"))

    assert len(predict(tmp_path, "-r", moved.with_suffix(".pth"), "--split", "valid")[0]) == 28


# What goes wrong ----------------------------------------------------------------------------------------------------


def refused(tmp_path, *command, status=2, lines=1):
    """What a script says that must refuse what it is given, without a traceback."""
    ended = run(tmp_path, *command, *(["--verbosity", "1"] if command[0] == "test.py" else []))
    assert ended.status == status, ended
    assert "Traceback" not in ended.output + ended.errors
    assert len(ended.lines) == lines, ended.errors
    return ended.errors


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


def test_a_missing_data_folder_is_refused_in_one_line(tiny_config, tmp_path):
    config = tiny_config({"data_loader.args.data_dir": str(tmp_path / "nowhere")})

    assert f"{tmp_path / 'nowhere' / 'train' / 'images'}: is no folder" in refused(tmp_path, "train.py", "-c", config)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_a_missing_checkpoint_is_refused_in_one_line(tmp_path, script):
    assert f"{tmp_path / 'x.pth'}: there is no such checkpoint" in refused(tmp_path, script, "-r", tmp_path / "x.pth")


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_a_folder_without_a_checkpoint_is_refused_in_one_line(tmp_path, script):
    (tmp_path / "empty").mkdir()

    assert f"{tmp_path / 'empty'}: holds no checkpoint" in refused(tmp_path, script, "-r", tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_a_damaged_checkpoint_is_refused_in_one_line(copied, tmp_path, script):
    flip(copied / BEST)

    assert f"{copied / BEST}: is damaged" in refused(tmp_path, script, "-r", copied / BEST)


def test_a_run_with_only_damaged_checkpoints_is_refused_in_one_line(copied, tmp_path):
    for name in (BEST, LAST, *EPOCHS):
        flip(copied / name)
    said = refused(tmp_path, "train.py", "-r", copied)

    assert all(f"{copied / name}: is damaged" in said for name in (BEST, LAST, *EPOCHS))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["train.py -r", "test.py -r", "arch.args.pretrained"])
@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_pickle_that_would_run_a_program_is_refused_and_runs_none(tiny_config, tmp_path, place, form):
    marker, path = tmp_path / "executed", tmp_path / "weights.pth"
    payload = {"config": {}, "progress": {}, "format": 1, "model": Touch(marker)}
    torch.save(payload, path) if form == "torch" else path.write_bytes(pickle.dumps(payload, 2))
    if place == "arch.args.pretrained":
        command = ["train.py", "-c", tiny_config({"arch.args.pretrained": str(path)})]
    else:
        command = [*place.split(), path]

    assert f"{path}: " in refused(tmp_path, *command)
    assert not marker.exists()


def test_a_checkpoint_of_other_data_is_not_scored_on_validation(copied, tmp_path):
    from data_loader.attributes.synthetic import write_masks

    write_masks(tmp_path / "other", people=17, eval_people=1, seed=1, size=(32, 32))
    change = f"data_loader.args.data_dir={tmp_path / 'other'}"

    assert "was trained on another split" in refused(tmp_path, "test.py", "-r", copied, "--split", "valid", "--set", change)


def test_checkpoints_of_other_classes_are_not_averaged(copied, trained, tmp_path):
    folder = CheckpointFolder(copied)
    state = folder.load(BEST)
    state["spec"]["classes"]["gender"] = ["man", "woman"]
    state["config"]["data_loader"]["args"]["labels"]["gender"] = {
        "classes": ["man", "woman"], "values": {"male": "man", "female": "woman"},
    }  # fmt: skip
    folder.save(state, [BEST])

    assert "their predictions cannot be averaged" in refused(tmp_path, "test.py", "-r", trained, "-r", copied)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_training_picture_is_refused_by_name(tiny_config, masks_folder, tmp_path, workers):
    data = tmp_path / "masks"
    shutil.copytree(masks_folder, data)
    spoilt = sorted((data / "train" / "images").rglob("*.jpg"))[5:7]
    for path in spoilt:
        path.write_bytes(path.read_bytes()[:300])
    config = tiny_config({"data_loader.args.data_dir": str(data), "data_loader.args.num_workers": workers})
    said = refused(tmp_path, "train.py", "-c", config, lines=3)

    assert "2 of 112 images cannot be read" in said
    assert all(path.parent.name + "/" + path.name in said for path in spoilt)


def test_a_test_picture_that_cannot_be_read_costs_its_own_row_and_is_named(trained, masks_folder, tmp_path):
    data = tmp_path / "masks"
    shutil.copytree(masks_folder, data)
    spoilt = sorted((data / "eval" / "images").iterdir())[3]
    spoilt.write_bytes(b"")
    command = ["test.py", "-r", trained, "-o", tmp_path / "out", "--set", f"data_loader.args.data_dir={data}", "-d", "cpu"]

    ended = run(tmp_path, *command)
    assert ended.status == 0, ended.errors
    assert f"{spoilt.name} is an empty file" in ended.output
    assert list(Predictions.read(tmp_path / "out" / "predictions.parquet")[0].failed()) == [spoilt.name]
    rows = (tmp_path / "out" / "info.csv").read_text().splitlines()[1:]
    assert len(rows) == len(list((data / "eval" / "images").iterdir()))
    assert all(row.split(",")[1].isdecimal() for row in rows)


def test_a_monitored_score_that_nothing_computes_is_refused_by_name(tiny_config, tmp_path):
    said = refused(tmp_path, "train.py", "-c", tiny_config({"trainer.monitor": "max val/f2"}))

    assert "trainer.monitor: " in said
    assert 'did you mean "val/f1"?' in said


def test_an_output_folder_that_cannot_be_made_is_refused_in_one_line(trained, tmp_path):
    (tmp_path / "file").write_text("")

    assert f"{tmp_path / 'file'}" in refused(tmp_path, "test.py", "-r", trained, "-o", tmp_path / "file" / "out")


def test_too_little_room_on_the_disk_is_told_before_the_first_epoch(tiny_config, tmp_path, monkeypatch):
    from types import SimpleNamespace

    from tests.helpers import build_trainer
    from utils import checkpoint

    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    trainer = build_trainer(tiny_config())
    monkeypatch.setattr(trainer, "train_epoch", lambda: pytest.fail("trained"))

    with pytest.raises(checkpoint.UserError, match=r"5 MB are free, and this run needs \d+ MB more"):
        trainer.fit()


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_leaves_the_last_checkpoint(tiny_config, monkeypatch):
    from tests.helpers import build_trainer

    trainer = build_trainer(tiny_config())
    real = files._write_and_rename

    def full(path, write):
        if trainer.progress.epoch:
            raise OSError(28, "No space left on device")
        real(path, write)

    monkeypatch.setattr(files, "_write_and_rename", full)
    monkeypatch.setattr(files, "append_line", lambda *line: None)
    with pytest.raises(files.WriteError, match=r"No space left on device.*; continue with -r") as error:
        trainer.fit()

    assert "\n" not in str(error.value)
    assert trainer.folder.checkpoints.load(LAST)["progress"]["step"] == 0


def test_a_folder_that_cannot_be_written_is_told_before_the_first_epoch(tiny_config, monkeypatch):
    from tests.helpers import build_trainer

    trainer = build_trainer(tiny_config())

    def read_only(path, write):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "_write_and_rename", read_only)
    monkeypatch.setattr(trainer, "train_epoch", lambda: pytest.fail("trained"))
    with pytest.raises(files.WriteError, match="cannot be written"):
        trainer.fit()


def test_pictures_without_labels_are_drawn_and_not_scored(trained, tmp_path):
    out = tmp_path / "out"
    both = 'metrics=[{"type": "AttributeScores"}, {"type": "SampleGrid"}]'
    assert run(tmp_path, "test.py", "-r", trained, "-o", out, "--set", both, "--verbosity", "1").status == 0
    drawn = {path.name for path in out.iterdir() if path.suffix in (".png", ".json")}
    assert drawn == {"samples.png", "predictions.manifest.json"}
