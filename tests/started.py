"""Tiny folders of pictures, and `laurel.py init` on them, with a short training of the config that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import laurel
from utils import config

RNG = np.random.default_rng(0)
TINY = {
    "data_loader.args.num_workers": 0,
    "trainer.epochs": 1,
    "trainer.validate_every": 1,
    "trainer.tensorboard": False,
    "trainer.verbosity": 0,
}


def write_pictures(folder: Path, names: Iterable[str], side: int = 32) -> Path:
    """Write pictures of noise below a folder, and return it."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), RNG.integers(0, 256, (side, side, 3), np.uint8))
    return folder


def init(path: Path, *words: str) -> dict[str, Any]:
    """Return the values of the config that `laurel.py init` writes beside the folder `path`, after `--check`."""
    output = path.parent / "config.json"
    assert laurel.command("init", [str(path), "-o", str(output), *words]) == 0
    assert laurel.command("train", [str(output), "--check"]) == 0
    return config.read(output).values


def train(values: dict[str, Any], tmp_path: Path, backbone: str = "arch.args.backbone", **changes: Any) -> laurel.Run:
    """Train an epoch with a tiny network. changes: of the loader's arguments."""
    args = {f"data_loader.args.{key}": value for key, value in changes.items()}
    sets = {**TINY, backbone: "test_resnet", "trainer.save_dir": str(tmp_path / "saved"), **args}
    return laurel.train(values, set=sets, device="cpu")


def names(pattern: str, *several: Sequence[object]) -> list[str]:
    """Return the pattern filled with every combination of several lists of values."""
    filled = [()]
    for values in several:
        filled = [(*one, value) for one in filled for value in values]
    return [pattern.format(*one) for one in filled]
