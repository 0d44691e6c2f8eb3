"""A run keeps to the boxes and labels of its pictures: it resumes with the same only, and scores again what it scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.crop_boxes import add_boxes
from tests.helpers import run, run_folders


@pytest.fixture
def config(tiny_config: Callable[..., Path], masks_folder: Path, tmp_path: Path) -> Path:
    """Of a run on pictures that are cut to their middle, trained for an epoch."""
    folder = Path(shutil.copytree(masks_folder, tmp_path / "masks"))
    add_boxes(folder)
    changes = {"data_dir": str(folder), "crops": {"file": "boxes.csv"}, "croppers": [{"type": "GrabCutCropper"}]}
    path = tiny_config({"trainer.epochs": 1, **{f"data_loader.args.{key}": value for key, value in changes.items()}})
    result = run(tmp_path, "train.py", "-c", path)
    assert result.status == 0, result.errors
    return path


def test_other_boxes_are_refused_by_resume_and_named_by_test(config: Path, tmp_path: Path) -> None:
    (models,) = run_folders(tmp_path)
    state = torch.load(models / "last.pth", weights_only=True)
    assert len(state["fingerprint"]["data_loader.args.crops"]) == 64
    again = run(tmp_path, "test.py", "-r", models, "--split", "valid", "-o", tmp_path / "out")
    assert again.status == 0 and "warning" not in again.output
    submission = run(tmp_path, "test.py", "-r", models, "-o", tmp_path / "test")
    assert submission.status == 0 and (tmp_path / "test" / "info.csv").exists()

    boxes = tmp_path / "masks" / "boxes.csv"
    boxes.write_text(boxes.read_text().replace(",28,28\n", ",30,30\n"))
    refused = run(tmp_path, "train.py", "-r", models, "--set", "trainer.epochs=2")
    assert refused.status == 2
    assert len(refused.lines) == 1 and "data_loader.args.crops: what its file says is not what the checkpoint" in refused.lines[0]
    other = run(tmp_path, "test.py", "-r", models, "--split", "valid", "-o", tmp_path / "other")
    assert other.status == 0 and "was trained on other data_loader.args.crops than these" in other.output


def test_labels_that_were_edited_are_refused_by_resume_and_named_by_test(
    tiny_config: Callable[..., Path], masks_folder: Path, tmp_path: Path
) -> None:
    person, gender, *_ = min(path.name for path in (masks_folder / "train/images").iterdir()).split("_")
    marks = tmp_path / "marks.csv"
    marks.write_text("where,is,set,to\n")
    path = tiny_config({"trainer.epochs": 1, "data_loader.args.corrections": str(marks), "data_loader.args.split.stratify": []})
    result = run(tmp_path, "train.py", "-c", path)
    assert result.status == 0, result.errors
    (models,) = run_folders(tmp_path)

    marks.write_text(f"where,is,set,to\nperson,{person},gender,{'female' if gender == 'male' else 'male'}\n")
    refused = run(tmp_path, "train.py", "-r", models, "--set", "trainer.epochs=2")
    assert refused.status == 2
    assert len(refused.lines) == 1 and "data_loader.args.corrections: what its file says is not what" in refused.lines[0]
    other = run(tmp_path, "test.py", "-r", models, "--split", "valid", "-o", tmp_path / "other")
    named = "was trained on other data_loader.args.corrections, data_loader.args.reader than these"
    assert other.status == 0 and named in other.output
