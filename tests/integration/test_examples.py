"""Every config of configs/examples trains: an epoch on a few tiny pictures, with the smallest backbone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.helpers import build_trainer
from tests.shipped import CONFIGS

EXAMPLES = [path for path in CONFIGS if path.parent.name == "examples"]
SMALL = {
    "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
    "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": []}},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains(example: Path, masks_folder: Path, tmp_path: Path, one_thread: None) -> None:
    config = json.loads(json.dumps({"extends": str(example), "name": "example", **SMALL}))
    config["data_loader"]["args"]["data_dir"] = str(masks_folder)
    config["trainer"] = {
        "epochs": 1, "precision": "fp32", "save_dir": str(tmp_path), "tensorboard": False, "wandb": False, "verbosity": 0,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    trainer = build_trainer(path)
    assert trainer.fit() == 0
    assert math.isfinite(trainer.monitor.best)
