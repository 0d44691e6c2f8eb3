"""Runs of detection in the app."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspection import results
from inspection.runs import Run
from tests.detection import app_system
from tests.helpers import run_folders


def test_boxes_count_every_object(system: Callable[[Any], Path], open_app: Callable[..., Any]) -> None:
    folder = system(app_system)
    page = open_app(folder, "Boxes", confidence="0.0")
    shown = {metric.label: int(metric.value.replace(",", "")) for metric in page.metric}
    names = {name.split("/")[-1] for name in results.read(Run(run_folders(folder)[0]), "valid-best").samples.ids()}
    entries = json.loads((folder / "data/train/labels.json").read_text())["annotations"]
    assert shown["Objects"] == sum(len(entry["objects"]) for entry in entries if entry["file_name"] in names)
    assert shown["Objects"] == shown["Missed"] + shown["Right"]
