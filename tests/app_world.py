"""Runs for the app to look at: synthetic pictures, and predictions as a model of middling quality would make them.

    python -m tests.app_world FOLDER

makes them below FOLDER; `streamlit run` in it shows them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest
from base.predictions import Predictions
from base.saved.run_folder import RunFolder
from base.table import SampleTable
from inspection.runs import Run
from tests.tasks import parts
from utils import files

EVIL = "<img src=x onerror=alert(1)> **bold** [a](http://a.b) :smile: `x`"  # a name that is HTML and Markdown


def write_run(
    saved: Path, label: str, values: dict[str, Any], epochs: list[dict[str, float]], status: str = "finished"
) -> RunFolder:
    """Write the folders of a run that has ended; its checkpoint is a dummy."""
    run = RunFolder.at(saved / "models" / label)
    run.models.mkdir(parents=True)
    run.log.mkdir(parents=True)
    files.write_json(run.models / "config.json", values)
    files.write_json(run.models / "source.json", {"split_hash": files.hash_json(values.get("data_loader", label))})
    files.write_json(run.models / "status.json", {"status": status})
    (run.models / "last.pth").write_bytes(b"none")
    lines = [json.dumps({"kind": "epoch", "epoch": number, **scores}) for number, scores in enumerate(epochs, 1)]
    (run.log / "log.jsonl").write_text("\n".join(lines) + "\n")
    return run


def learning(epochs: int, seed: int = 0, best: float = 0.8) -> list[dict[str, float]]:
    """Return the scores of each epoch of a training whose validation score rises towards `best`."""
    draw = np.random.default_rng(seed)
    rise = best * (1 - np.exp(-np.arange(1, epochs + 1) / 6)) + draw.normal(0, 0.012, epochs)
    return [
        {"train/loss": float(1.6 * (1 - value) + 0.1), "val/loss": float(1.7 * (1 - value) + 0.25 + draw.normal(0, 0.02)),
         "val/accuracy": float(value + 0.03), "val/f1": float(value)}
        for value in rise
    ]  # fmt: skip


def probabilities(truth: np.ndarray, classes: int, seed: int, sure: float = 2.2) -> np.ndarray:
    """Return (N, K) float32: the softmax of noise, the true class ahead by `sure` on average; class 1 is the hardest."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1.1, (len(truth), classes))
    logits[np.arange(len(truth)), truth] += np.where(truth == 1, 0.7, 1.0) * sure
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def write_result(run: RunFolder, name: str, samples: SampleTable, prediction: dict[str, Any], **manifest: Any) -> Path:
    """Write an evaluation as test.py leaves it; return its folder. manifest: its fields, and classes, counts and merged."""
    folder = run.log / name
    folder.mkdir(parents=True)
    order = np.argsort(samples.ids(), kind="stable")
    pieces = {key: value[torch.from_numpy(order)] if isinstance(value, torch.Tensor) else [value[row] for row in order]
              for key, value in prediction.items()}  # fmt: skip
    samples = samples.take(order)
    spec = DataSpec(**{key: manifest.pop(key) for key in ("classes", "counts", "merged") if key in manifest})
    said = {"split": name.partition("-")[0], "data_dir": str(samples.root), **manifest}
    Evaluation(folder, Predictions.of(samples.ids(), pieces), Manifest(spec=spec, **said), samples).write()
    return folder


def write_answers(folder: Path, names: list[str], config: object = None) -> Run:
    """Write a run with predictions of four samples, two of them wrong, whose pictures are not there."""
    run = write_run(folder / "saved", "a/20260101-000000-0000", {"name": "a", **(config if isinstance(config, dict) else {})}, [])
    ids = [f"{EVIL}{number}.jpg" for number in range(4)]
    samples = SampleTable.from_columns(folder / "data", {"id": ids, "path": ids, "mask": [0, 0, 1, 1], names[0]: ["x", "y"] * 2})
    said = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    write_result(run, "valid-best", samples, {"mask": said}, classes={"mask": names})
    return Run(run.models)


def read_result(world: Path, run: str, name: str = "valid-best") -> tuple[Predictions, SampleTable]:
    """Return the predictions and the samples of an evaluation below `world`."""
    found = Evaluation.read(world / "saved/log" / run / name)
    return found.predictions, found.samples


def write_world(folder: Path) -> Path:
    """Write the runs of every task below `folder`; return it."""
    data, saved = folder / "data", folder / "saved"
    data.mkdir(parents=True)
    for part in parts("app_world"):
        part.write_runs(data, saved)
    return folder


if __name__ == "__main__":
    print(write_world(Path(sys.argv[1])))
