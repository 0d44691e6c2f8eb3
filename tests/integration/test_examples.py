"""Every config of configs/examples trains: an epoch on a few tiny pictures, with the smallest backbone."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.formats import add_boxes, add_formats
from tests.helpers import build_trainer
from tests.shipped import CONFIGS
from utils import config

EXAMPLES = [path for path in CONFIGS if path.parent.name == "examples"]
CLASSES = ["eye_opened", "eye_closed", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]  # of the drawn drivers
ATTRIBUTES: dict[str, Any] = {
    "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
    "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": [], "eval_transforms": []}},
}
DETECTION: dict[str, Any] = {
    "arch": {"args": {"pyramid": {"backbone": "test_efficientnet", "width": 32}}},
    "data_loader": {
        "args": {
            "image_size": [64, 96], "num_workers": 0, "train_transforms": [], "classes": CLASSES, "sources": None,
            "split": {"group": None, "stratify": []}, "subset": None,
        }
    },
}  # fmt: skip
# By loader, what makes a config small and fits it to the drawn data, and the fixture with those.
SMALL = {"DetectionLoader": DETECTION} | dict.fromkeys(("AttributeLoader", "RotationLoader", "EmbeddingLoader"), ATTRIBUTES)
FOLDERS = {
    "AttributeLoader": "masks_folder", "RotationLoader": "masks_folder", "EmbeddingLoader": "verify_folder",
    "DetectionLoader": "drivers_folder",
}  # fmt: skip


@pytest.fixture(scope="session")
def drivers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures to train and validate on, annotated in every format; not to be changed."""
    from data_loader.detection.synthetic import write_drivers

    folder = tmp_path_factory.mktemp("data") / "drivers"
    write_drivers(folder, images=16, test_images=2, seed=1, size=(96, 128))
    add_formats(folder)
    return folder


@pytest.fixture(scope="session")
def cropped_folder(masks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`masks_folder` with a box for each picture; not to be changed."""
    folder = Path(shutil.copytree(masks_folder, tmp_path_factory.mktemp("data") / "masks"))
    add_boxes(folder)
    return folder


def small(values: dict[str, Any]) -> dict[str, Any]:
    """What makes an example small enough, and leaves what it is an example of."""
    changes: dict[str, Any] = json.loads(json.dumps(SMALL[values["data_loader"]["type"]]))
    if values["data_loader"]["args"].get("sampler", {}).get("type") == "IdentitySampler":
        changes["data_loader"]["args"] |= {"batch_size": 8, "sampler": {"args": {"identities": 4, "images": 2}}}
    return changes


def folder_of(values: dict[str, Any]) -> str:
    """The fixture with tiny data in the example's layout."""
    if values["data_loader"]["args"]["data_dir"].endswith("lfw"):
        return "lfw_folder"
    if values["data_loader"]["args"].get("crops"):
        return "cropped_folder"
    return FOLDERS[values["data_loader"]["type"]]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains(example: Path, request: pytest.FixtureRequest, tmp_path: Path, one_thread: None) -> None:
    values = config.read(example).values
    changed = {"extends": str(example), "name": "example", **small(values)}
    changed["data_loader"]["args"]["data_dir"] = str(request.getfixturevalue(folder_of(values)))
    changed["trainer"] = {
        "epochs": 1, "validate_every": 1, "precision": "fp32", "save_dir": str(tmp_path),
        "tensorboard": False, "wandb": False, "verbosity": 0,
    }  # fmt: skip
    if values["trainer"].get("type") == "PseudoLabelTrainer":
        changed["trainer"] |= {"labelled_epochs": 0, "threshold": 0.0}  # so that the one epoch is a round
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changed))
    trainer = build_trainer(path)
    assert trainer.fit() == 0
    assert math.isfinite(trainer.monitor.best)
