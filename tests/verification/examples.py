"""What makes an example of verification small enough for a test."""

from __future__ import annotations

from typing import Any

LOADER = "EmbeddingLoader"
SMALL: dict[str, Any] = {
    "arch": {"args": {"backbone": "test_efficientnet", "pretrained": False, "drop_path_rate": 0.0}},
    "data_loader": {"args": {"image_size": [32, 32], "num_workers": 0, "train_transforms": [], "eval_transforms": []}},
}


def small(args: dict[str, Any]) -> dict[str, Any]:
    """Return what makes an example with these arguments of its loader small, and leaves what it is an example of."""
    if args.get("sampler", {}).get("type") != "IdentitySampler":
        return SMALL
    batches = {"batch_size": 8, "sampler": {"args": {"identities": 4, "images": 2}}}
    return {**SMALL, "data_loader": {"args": {**SMALL["data_loader"]["args"], **batches}}}


def folder(args: dict[str, Any]) -> str:
    """Return the fixture with tiny data in the layout of the example."""
    return "lfw_folder" if args["data_dir"].endswith("lfw") else "verify_folder"
