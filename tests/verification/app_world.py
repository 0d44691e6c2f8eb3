"""Runs of verification for the app to look at."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from base.saved.run_folder import RunFolder
from base.table import SampleTable
from data_loader.verification.synthetic import write_verify
from tests.app_world import learning, write_result, write_run
from tests.helpers import ROOT, succeed

FACES = "faces/20260302-101500-bbbb"
LINKS = [("Pairs", FACES)]  # views that show a run


def faces_run(saved: Path, data: Path) -> RunFolder:
    """Embeddings of the validation pictures, and the pairs."""
    run = write_run(saved, FACES, {"name": "faces", "trainer": {"monitor": "max val/accuracy"}}, learning(9, 2, 0.9))
    with (data / "validate/validate_label.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted({row[key] for row in rows for key in ("image1", "image2")})
    group = _people(names, rows)
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(max(group) + 1, 64))
    embedding = centres[group] + draw.normal(0, 1.3, (len(names), 64))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    columns = {"id": names, "path": names, "group": [f"p{number}" for number in group]}
    pairs = {"image1": [row["image1"] for row in rows], "image2": [row["image2"] for row in rows],
             "same": np.array([row["label"] == "0" for row in rows], np.int8)}  # fmt: skip
    samples = SampleTable(data / "validate", pa.table(columns), {"pairs": pa.table(pairs)})
    given = {"embedding": torch.from_numpy(embedding.astype(np.float32))}
    write_result(run, "valid-best", samples, given, classes={}, fitted={"PairScores": {"threshold/cosine": 0.25}})
    return run


def _people(names: list[str], rows: list[dict[str, str]]) -> list[int]:
    """A number for each picture, equal where a chain of genuine pairs joins them."""
    leader = {name: name for name in names}
    for row in rows:
        if row["label"] == "0":
            old, new = leader[row["image2"]], leader[row["image1"]]
            leader = {name: new if value == old else value for name, value in leader.items()}
    order = {value: number for number, value in enumerate(dict.fromkeys(leader.values()))}
    return [order[leader[name]] for name in names]


def write_runs(data: Path, saved: Path) -> None:
    """Write the pictures below `data` and the run below `saved`."""
    write_verify(data / "faces", people=60, shots=4, pairs=160, seed=3, size=(96, 96))
    faces_run(saved, data / "faces")


def train_run(data: Path, saved: Path, folder: Path) -> None:
    """Train a run that has a model, called `alike`, and predict its validation pictures. folder: takes its config."""
    args = {
        "data_dir": str(data / "faces"), "image_size": [32, 32], "batch_size": 32, "num_workers": 0,
        "train_transforms": [], "eval_transforms": [], "sampler": {"args": {"identities": 8, "images": 4}},
    }  # fmt: skip
    trainer = {"epochs": 1, "precision": "fp32", "save_dir": str(saved), "tensorboard": False, "verbosity": 0}
    config = {
        "extends": str(ROOT / "configs/verify_timm.json"), "name": "alike", "arch": {"args": {"backbone": "test_efficientnet"}},
        "data_loader": {"args": args}, "trainer": trainer,
    }  # fmt: skip
    (folder / "alike.json").write_text(json.dumps(config))
    succeed(folder, "train.py", "-c", folder / "alike.json")
    succeed(folder, "test.py", "-r", next((saved / "models/alike").glob("*")), "--split", "valid")
