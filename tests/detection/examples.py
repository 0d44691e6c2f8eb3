"""What makes an example of detection small enough for a test."""

from __future__ import annotations

from typing import Any

from tests.detection.formats import NAMES

LOADER = "DetectionLoader"
SMALL: dict[str, Any] = {
    "arch": {"args": {"pyramid": {"backbone": "test_efficientnet", "width": 32}}},
    "data_loader": {
        "args": {
            "image_size": [64, 96], "num_workers": 0, "train_transforms": [], "classes": NAMES, "sources": None,
            "split": {"group": None, "stratify": []}, "subset": None,
        }
    },
}  # fmt: skip


def small(args: dict[str, Any]) -> dict[str, Any]:
    """Return what makes an example with these arguments of its loader small, and leaves what it is an example of."""
    return SMALL


def folder(args: dict[str, Any]) -> str:
    """Return the fixture with tiny data in the layout of the example."""
    return "drivers_folder"
