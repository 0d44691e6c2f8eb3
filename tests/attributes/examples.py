"""What makes an example of attributes small enough for a test."""

from __future__ import annotations

from typing import Any

LOADER = "AttributeLoader"
SMALL: dict[str, Any] = {
    "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
    "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": [], "eval_transforms": []}},
}


def small(args: dict[str, Any]) -> dict[str, Any]:
    """Return what makes an example with these arguments of its loader small, and leaves what it is an example of."""
    return SMALL


def folder(args: dict[str, Any]) -> str:
    """Return the fixture with tiny data in the layout of the example."""
    if args["reader"]["type"] == "CelebaReader":
        return "celeba_folder"
    return "cropped_folder" if args.get("crops") else "masks_folder"
