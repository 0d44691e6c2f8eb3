"""Every config of configs/examples trains: an epoch on a few tiny pictures, with the smallest backbone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import build_trainer
from tests.shipped import CONFIGS
from tests.tasks import parts
from utils import config

EXAMPLES = [path for path in CONFIGS if path.parent.name == "examples"]
# By loader, what makes a config small and fits it to the drawn data, and the fixture with those.
LOADERS: dict[str, tuple[dict[str, Any], str]] = {
    name: entry for part in parts("examples") for name, entry in part.LOADERS.items()
}


def small(values: dict[str, Any]) -> dict[str, Any]:
    """Return what makes an example small enough, and leaves what it is an example of."""
    changes: dict[str, Any] = json.loads(json.dumps(LOADERS[values["data_loader"]["type"]][0]))
    if "identities" in values["data_loader"]["args"].get("sampler", {}).get("args", {}):
        changes["data_loader"]["args"] |= {"batch_size": 8, "sampler": {"args": {"identities": 4, "images": 2}}}
    return changes


def folder_of(values: dict[str, Any]) -> str:
    """Return the fixture with tiny data in the example's layout."""
    if values["data_loader"]["args"]["data_dir"].endswith("lfw"):
        return "lfw_folder"
    if values["data_loader"]["args"].get("crops"):
        return "cropped_folder"
    return LOADERS[values["data_loader"]["type"]][1]


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
