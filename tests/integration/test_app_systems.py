"""Runs of the other systems, trained and evaluated as users do it, opened in every view of the app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from streamlit.testing.v1 import AppTest

from data_loader.detection.synthetic import write_drivers
from data_loader.verification.synthetic import write_verify
from inspection import results
from inspection.runs import Run
from tests.helpers import ROOT, run, run_folders

CLASSES = ["eye_opened", "eye_closed", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]
SMALL: dict[str, dict[str, Any]] = {
    "verify_timm": {
        "arch": {"args": {"backbone": "test_efficientnet"}},
        "data_loader": {
            "args": {"image_size": [32, 32], "batch_size": 8, "train_transforms": [], "eval_transforms": [],
                     "sampler": {"args": {"identities": 4, "images": 2}}},
        },
    },
    "drivers_balanced": {
        "arch": {"args": {"pyramid": {"backbone": "test_efficientnet", "width": 32}}},
        "data_loader": {
            "args": {"image_size": [64, 96], "train_transforms": [], "classes": CLASSES, "sources": None, "subset": None,
                     "split": {"group": None, "stratify": []}},
        },
    },
}  # fmt: skip
VIEWS = ["Runs", "Predict", "Mistakes", "Pairs", "Boxes", "Data", "Fix", "Submission"]


@pytest.fixture(scope="module", params=SMALL)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a config, and a folder with a run of it whose validation predictions are there."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    if name == "drivers_balanced":
        write_drivers(folder / "data", images=16, test_images=2, seed=1, size=(96, 128))
    else:
        write_verify(folder / "data", people=16, shots=3, pairs=12, seed=1, size=(32, 32))
    changed = {"extends": str(ROOT / "configs" / f"{name}.json"), "name": name, **json.loads(json.dumps(SMALL[name]))}
    changed["data_loader"]["args"] |= {"data_dir": str(folder / "data"), "num_workers": 0}
    changed["trainer"] = {
        "epochs": 1,
        "validate_every": 1,
        "precision": "fp32",
        "save_dir": str(folder / "saved"),
        "tensorboard": False,
    }
    (folder / "config.json").write_text(json.dumps(changed))
    for words in (("train.py", "-c", folder / "config.json"), ("test.py", "-r", None, "--split", "valid")):
        result = run(folder, *(word or run_folders(folder)[0] for word in words), "-d", "cpu")
        assert result.status == 0, result.errors
    return name, folder


def open_app(folder: Path, monkeypatch: pytest.MonkeyPatch, view: str, **query: str) -> AppTest:
    monkeypatch.chdir(folder)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for name, value in {"view": view, **query}.items():
        page.query_params[name] = value
    return page.run()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    page = open_app(world[1], monkeypatch, view)
    assert not page.exception
    assert page.title[0].value == view
    assert [error.value for error in page.error] == []


def test_the_kind_of_prediction_is_told(world: tuple[str, Path]) -> None:
    name, folder = world
    kinds = results.kinds(Run(run_folders(folder)[0]))
    assert ({"embedding"} if name == "verify_timm" else {"boxes"}) <= kinds


def test_a_picture_is_answered_and_explained(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    name, folder = world
    path = next((folder / "data").rglob("*.jpg"))
    page = open_app(folder, monkeypatch, "Predict", why="true")
    content = cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes()  # type: ignore[arg-type]
    page.file_uploader[0].upload("me.png", content, "image/png").run()
    assert not page.exception and not page.error
    assert page.metric if name == "verify_timm" else page.dataframe


@pytest.mark.parametrize("part", ["Threshold", "Hardest pairs", "Your faces", "Map"])
def test_every_part_of_pairs_opens(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    if world[0] != "verify_timm":
        pytest.skip("these predictions are no embeddings")
    page = open_app(world[1], monkeypatch, "Pairs", part=part)
    assert not page.exception and not page.error


def test_boxes_count_every_object(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    name, folder = world
    if name != "drivers_balanced":
        pytest.skip("these predictions are no boxes")
    page = open_app(folder, monkeypatch, "Boxes", confidence="0.0")
    shown = {metric.label: int(metric.value.replace(",", "")) for metric in page.metric}
    ids = set(results.read(Run(run_folders(folder)[0]), "valid-best").samples.ids())
    entries = json.loads((folder / "data/train/labels.json").read_text())["annotations"]
    assert shown["Objects"] == sum(
        len(entry["objects"]) for entry in entries if entry["file_name"] in {i.split("/")[-1] for i in ids}
    )
    assert shown["Objects"] == shown["Missed"] + shown["Right"]


@pytest.mark.parametrize("part", ["Balance", "Files", "Augmentation"])
def test_every_part_of_data_opens(world: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    page = open_app(world[1], monkeypatch, "Data", part=part)
    assert not page.exception
    assert [error.value for error in page.error] == []
