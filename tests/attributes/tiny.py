"""A tiny config of attributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers import ROOT

# 16 people of 7 pictures each: 6 batches of 14 to train on, 2 of 16 and 12 to validate on.
TINY: dict[str, Any] = {
    "extends": str(ROOT / "configs" / "masks.json"),
    "name": "tiny",
    "arch": {"args": {"backbone": "test_resnet", "drop_rate": 0.1}},
    "data_loader": {
        "args": {
            "image_size": [32, 32],
            "batch_size": 16,
            "num_workers": 0,
            "train_transforms": [{"type": "HorizontalFlip"}, {"type": "RandomBrightnessContrast", "args": {"p": 0.5}}],
        }
    },
    "metrics": [{"type": "AttributeScores"}],
    "trainer": {
        "epochs": 2, "precision": "fp32", "ema": 0.9, "accumulate": 2, "log_every": 1, "tensorboard": False, "verbosity": 0,
    },
}  # fmt: skip


def write_config(folder: Path, data_dir: Path, changes: dict[str, Any] | None = None, name: str = "config.json") -> Path:
    """Write a tiny config into `folder`, which trains into `folder/saved`. changes: dotted key -> value."""
    values = json.loads(json.dumps(TINY))
    places = {"data_loader.args.data_dir": str(data_dir), "trainer.save_dir": str(folder / "saved")}
    for key, value in (places | (changes or {})).items():
        place = values
        *parents, last = key.split(".")
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    path = folder / name
    path.write_text(json.dumps(values))
    return path
