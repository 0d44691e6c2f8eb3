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
PARTS = {part.LOADER: part for part in parts("examples")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains(example: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    values = config.read(example).values
    part, args = PARTS[values["data_loader"]["type"]], values["data_loader"]["args"]
    changed: dict[str, Any] = {"extends": str(example), "name": "example", **json.loads(json.dumps(part.small(args)))}
    changed["data_loader"]["args"]["data_dir"] = str(request.getfixturevalue(part.folder(args)))
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
