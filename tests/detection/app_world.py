"""Runs of detection for the app to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from base.saved.run_folder import RunFolder
from base.table import SampleTable
from data_loader.detection.synthetic import write_drivers
from tests.app_world import learning, write_result, write_run

DRIVERS = "drivers/20260303-101500-cccc"
CLASSES = ["eye_closed", "eye_opened", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]
NAMES = pa.list_(pa.dictionary(pa.int32(), pa.string()))  # as readers of boxes give class names
LINKS = [("Boxes", DRIVERS)]  # views that show a run


def drivers_run(saved: Path, data: Path) -> RunFolder:
    """Boxes with mistakes of every kind."""
    run = write_run(saved, DRIVERS, {"name": "drivers", "trainer": {"monitor": "max val/map"}}, learning(12, 3, 0.7))
    entries = json.loads((data / "train/labels.json").read_text())["annotations"]
    classes = [name for name in CLASSES if any(obj["class"] == name for entry in entries for obj in entry["objects"])]
    draw = np.random.default_rng(0)
    predicted = [_boxes(entry["objects"], classes, draw) for entry in entries]
    names = [entry["file_name"] for entry in entries]
    places = [[obj["position"] for obj in entry["objects"]] for entry in entries]
    columns = {"id": names, "path": names, "boxes": pa.array(places, pa.list_(pa.list_(pa.float64(), 4))),
               "names": pa.array([[obj["class"] for obj in entry["objects"]] for entry in entries], NAMES)}  # fmt: skip
    samples = SampleTable.from_columns(data / "train/images", columns)
    given = {"boxes": [boxes for boxes, _, _ in predicted], "scores": [scores for _, scores, _ in predicted],
             "labels": [labels for _, _, labels in predicted]}  # fmt: skip
    write_result(run, "valid-best", samples, given, classes={"object": classes})
    return run


def _boxes(objects: list[dict[str, Any]], classes: list[str], draw: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Most objects found, some badly or twice or as something else, some missed, now and then one where nothing is."""
    boxes, scores, labels = [], [], []
    for thing in objects:
        chance, corner = draw.random(), np.array(thing["position"])
        label, size = classes.index(thing["class"]), np.tile(corner[2:] - corner[:2], 2)
        if chance < 0.08:
            continue
        spread = 0.25 if chance < 0.16 else 0.03
        boxes.append(corner + draw.normal(0, spread, 4) * size * 0.5)
        labels.append((label + 1) % len(classes) if 0.16 < chance < 0.2 else label)
        scores.append(draw.uniform(0.45, 0.99))
        if chance > 0.94:
            boxes.append(corner + draw.normal(0, 0.03, 4) * size)
            labels.append(label)
            scores.append(draw.uniform(0.2, 0.45))
    if draw.random() < 0.2:
        boxes.append(np.array([10.0, 10.0, 60.0, 60.0]))
        labels.append(int(draw.integers(len(classes))))
        scores.append(draw.uniform(0.1, 0.6))
    found = torch.tensor(np.array(boxes, np.float32).reshape(-1, 4))
    return found, torch.tensor(scores, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)


def write_runs(data: Path, saved: Path) -> None:
    """Write the pictures below `data` and the run below `saved`."""
    write_drivers(data / "drivers", images=40, test_images=1, seed=3, size=(180, 240))
    drivers_run(saved, data / "drivers")
