"""What makes an example of attributes small enough for a test."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
    "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": [], "eval_transforms": []}},
}
LOADERS = {"AttributeLoader": (SMALL, "masks_folder")}
