"""Every config of configs/examples trains: an epoch on a few tiny pictures, with the smallest backbone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.helpers import build_trainer
from tests.shipped import CONFIGS
from utils.config import read

EXAMPLES = [path for path in CONFIGS if path.parent.name == "examples"]
CLASSES = ["eye_opened", "eye_closed", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]  # of the drawn drivers
# By loader, what makes a config small and fits it to the drawn data.
SMALL = {
    "AttributeLoader": {
        "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
        "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": []}},
    },
    "DetectionLoader": {
        "arch": {"args": {"pyramid": {"backbone": "test_efficientnet", "width": 32}}},
        "data_loader": {
            "args": {
                "image_size": [64, 96], "num_workers": 0, "train_transforms": [], "classes": CLASSES, "sources": None,
                "split": {"group": None, "stratify": []}, "subset": None,
            }
        },
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def drivers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures to train and validate on; not to be changed."""
    from data_loader.synthetic import write_drivers

    folder = tmp_path_factory.mktemp("data") / "drivers"
    write_drivers(folder, images=16, test_images=2, seed=1, size=(96, 128))
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains(example: Path, masks_folder: Path, drivers_folder: Path, tmp_path: Path, one_thread: None) -> None:
    loader = read(example).values["data_loader"]["type"]
    config = json.loads(json.dumps({"extends": str(example), "name": "example", **SMALL[loader]}))
    config["data_loader"]["args"]["data_dir"] = str(drivers_folder if loader == "DetectionLoader" else masks_folder)
    config["trainer"] = {
        "epochs": 1, "validate_every": 1, "precision": "fp32", "save_dir": str(tmp_path),
        "tensorboard": False, "wandb": False, "verbosity": 0,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    trainer = build_trainer(path)
    assert trainer.fit() == 0
    assert math.isfinite(trainer.monitor.best)
