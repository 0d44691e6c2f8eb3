"""What makes an example of detection small enough for a test."""

from __future__ import annotations

from typing import Any

from tests.detection.formats import NAMES

SMALL: dict[str, Any] = {
    "arch": {"args": {"pyramid": {"backbone": "test_efficientnet", "width": 32}}},
    "data_loader": {
        "args": {
            "image_size": [64, 96], "num_workers": 0, "train_transforms": [], "classes": NAMES, "sources": None,
            "split": {"group": None, "stratify": []}, "subset": None,
        }
    },
}  # fmt: skip
LOADERS = {"DetectionLoader": (SMALL, "drivers_folder")}
