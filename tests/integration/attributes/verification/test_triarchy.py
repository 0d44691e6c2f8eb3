"""The system of two stages and three losses: its size, its reproducibility, and what is shipped of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from base.base_model import BaseModel
from base.contracts import DataSpec
from base.saved.door import find, groups
from base.saved.group import Group
from tests.helpers import launch
from trainer.evaluation.testing import run_test
from trainer.experiment import build, checking, loading
from trainer.experiment.budget import inference_size
from utils import config
from utils.checkpoint import CheckpointFolder, weights_hash
from utils.checkpoint_names import LAST

ROOT = Path(__file__).parents[4]


def identity_model(name: str) -> BaseModel:
    experiment = checking.check(config.read(ROOT / "configs" / name))
    return build.build_model(experiment, DataSpec(classes={"identity": [str(n) for n in range(140)]}, image_size=(112, 112)))


def test_without_what_only_training_needs_the_model_has_exactly_4_663_420_parameters() -> None:
    model = identity_model("triarchy_identity.json")
    assert inference_size(model).params == 4_663_420
    assert sum(p.numel() for p in model.parameters()) == 4_663_420 + 512 * 140 + 140 + 2 * 140


def test_the_exported_checkpoint_has_those_and_no_others() -> None:
    model = identity_model("triarchy_identity.json")
    left_out = loading.training_only_names(model)
    kept = {name for name, _ in model.named_parameters()} - left_out
    assert sum(p.numel() for name, p in model.named_parameters() if name in kept) == 4_663_420
    assert all(name.startswith("identify.") for name in left_out) and left_out


def test_the_baseline_is_the_same_config_with_three_values_changed() -> None:
    def flat(value: Any, key: str = "") -> dict[str, Any]:
        if not isinstance(value, dict):
            return {key: value}
        return {name: item for part, inner in value.items() for name, item in flat(inner, f"{key}.{part}").items()}

    first, second = (flat(config.read(ROOT / f"configs/triarchy_{name}.json").values) for name in ("identity", "baseline"))
    assert {key.rpartition("args.")[2] for key in first if first[key] != second[key]} - {".name"} == {
        "batch_norm", "margin", "weight",
    }  # fmt: skip


# A tiny data set in the layout of the real one ------------------------------------------------------------------------


def draw(folder: Path, name: str, person: int, variant: int) -> None:
    from cv2 import imwrite

    rng = np.random.default_rng([person, variant])
    picture = np.kron(np.random.default_rng(person).integers(0, 200, (4, 4, 3)), np.ones((7, 7, 1))) + rng.integers(
        0, 50, (28, 28, 3)
    )
    folder.mkdir(parents=True, exist_ok=True)
    assert imwrite(str(folder / name), picture.astype(np.uint8))


@pytest.fixture(scope="module")
def angle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 people of 4 pictures to train on, 3 to validate on, 3 to predict."""
    folder = tmp_path_factory.mktemp("angle")
    rows = []
    for person in range(12):
        for number, (expression, camera) in enumerate([("E01", "C01"), ("E01", "C11"), ("E02", "C11"), ("E03", "C11")], 1):
            name = f"{person:03d}_{expression}_{camera}_{number:02d}.png"
            draw(folder / "train", name, person, number)
            rows.append(f"{name},{person:03d}")
    (folder / "train/train_meta.csv").write_text("\n".join(["file_name,face_id", *rows]) + "\n")
    for part, label, first in (("validate", "validate_label.csv", 20), ("test", "test_label.csv", 30)):
        people = [(person, shot) for person in range(first, first + 3) for shot in range(3)]
        for person, shot in people:
            draw(folder / part, f"{person}{shot}.png", person, shot)
        pairs = [(a, b) for i, a in enumerate(people) for b in people[:i]]
        lines = [f"{a[0]}{a[1]}.png,{b[0]}{b[1]}.png,{int(a[0] != b[0]) if part == 'validate' else 0}" for a, b in pairs]
        (folder / part / label).write_text("\n".join(["image1,image2,label", *lines]) + "\n")
    return folder


def write_staged(folder: Path, data: Path) -> Path:
    """triarchy_small.json with the smallest backbone, in `folder`."""
    trainer = {"epochs": 2, "validate_every": 1, "tensorboard": False, "verbosity": 0, "save_dir": str(folder / "saved")}
    loader = {"data_dir": str(data), "image_size": [32, 32], "num_workers": 0, "batch_size": 8}
    for name in ("pretext", "identity"):
        args = loader | ({"sampler": {"args": {"identities": 4, "images": 2}}} if name == "identity" else {})
        values = {
            "extends": str(ROOT / f"configs/triarchy_small_{name}.json"),
            "arch": {"args": {"backbone": "test_resnet"}},
            "data_loader": {"args": args},
            "trainer": trainer,
        }
        (folder / f"triarchy_small_{name}.json").write_text(json.dumps(values))
    path = folder / "staged.json"
    shipped = config.read(ROOT / "configs/triarchy_small.json").values
    path.write_text(json.dumps({key: value for key, value in shipped.items() if key in ("name", "stages")}))
    return path


def outcome(folder: Path, data: Path) -> tuple[dict[str, str], bytes, bytes]:
    """Both stages from the beginning: hashes of all final weights, metrics.json, and the submission."""
    folder.mkdir()
    assert launch(write_staged(folder, data)) == 0
    (found,) = groups(folder / "saved", "triarchy-small")
    runs = {name: Group(found).run(name) for name in ("pretext", "identity")}
    states = {name: CheckpointFolder(run).load(LAST) for name, run in runs.items() if run is not None}
    for split in ("valid", "test"):
        run_test([find(str(runs["identity"]))], torch.device("cpu"), split=split, output=folder / split)
    submission = next(path for path in (folder / "test").iterdir() if path.suffix == ".txt")
    hashes = {f"{name} {part}": weights_hash(states[name][part]) for name in states for part in ("model", "loss")}
    return hashes, (folder / "valid/metrics.json").read_bytes(), submission.read_bytes()


def test_two_runs_with_one_seed_are_the_same_to_the_last_byte(angle_folder: Path, tmp_path: Path) -> None:
    first, second = outcome(tmp_path / "first", angle_folder), outcome(tmp_path / "second", angle_folder)
    assert first == second
    assert "accuracy" in json.loads(first[1]) and hashlib.sha256(first[2]).hexdigest()


def test_the_second_stage_begins_with_the_backbone_of_the_first(angle_folder: Path, tmp_path: Path) -> None:
    launch(write_staged(tmp_path, angle_folder))
    (found,) = groups(tmp_path / "saved", "triarchy-small")
    run = Group(found).run("identity")
    assert run is not None
    (parent,) = CheckpointFolder(run).load(LAST)["parents"]
    assert parent["loaded"] and all(name.startswith("backbone.") for name in parent["loaded"])
    assert not parent["missing"] and not parent["reshaped"]
