"""The paired comparison of detectors: on the same boxes, counted in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest
from base.predictions import Predictions
from base.table import SampleTable
from trainer.evaluation.compare import compare, verdict
from utils.errors import UserError

IDS = ["a", "b"]
BOXES = [[[1.0, 1.0, 9.0, 9.0], [20.0, 20.0, 60.0, 60.0]], [[5.0, 5.0, 50.0, 50.0]]]


def evaluation(folder: Path, boxes: Any = BOXES, classes: Any = ((0, 1), (0,)), **args: Any) -> Evaluation:
    """Return predictions of the boxes in BOXES for two pictures with the given objects."""
    columns = {
        "id": IDS, "path": IDS, "boxes": pa.array(boxes, pa.list_(pa.list_(pa.float64(), 4))),
        "classes": pa.array([list(one) for one in classes], pa.list_(pa.int16())),
    }  # fmt: skip
    predictions = Predictions.of(IDS, {
        "boxes": [torch.tensor(one) for one in BOXES],
        "labels": [torch.tensor([0, 1]), torch.tensor([0])],
        "scores": [torch.tensor([0.9, 0.8]), torch.tensor([0.7])],
    })  # fmt: skip
    metrics = [{"type": "BoxScores", "args": args}]
    manifest = Manifest("valid", spec=DataSpec({"object": ["eye", "mouth"]}), metrics=metrics, monitor="max val/map")
    return Evaluation(folder, predictions, manifest, SampleTable.from_columns(Path("/"), columns))


def test_the_order_of_a_pictures_boxes_does_not_matter(tmp_path: Path) -> None:
    turned = evaluation(tmp_path / "b", [BOXES[0][::-1], BOXES[1]], ((1, 0), (0,)))
    assert verdict(compare([evaluation(tmp_path / "a")], [turned]), "f1").startswith("no difference shown")


def test_a_box_that_was_moved_or_renamed_is_told(tmp_path: Path) -> None:
    moved = np.array(BOXES[1]) + 1
    with pytest.raises(
        UserError, match=r"map: 1 of 2 answers are not those of .*: b \(eye at 6 6 51 51, there eye at 5 5 50 50\)"
    ):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", [BOXES[0], moved.tolist()])])
    with pytest.raises(UserError, match=r"1 of 2 answers .* b \(mouth at 5 5 50 50, there eye at 5 5 50 50\)"):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", classes=((0, 1), (1,)))])


def test_scores_that_are_counted_in_another_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"in the same way: map: BoxScores \(iou: 0.5, detections: 100\) in .*\(iou: 0.75, det"):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", iou=0.75)])


def test_an_argument_that_is_written_out_is_no_difference(tmp_path: Path) -> None:
    assert not compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", iou=0.5)]).left_out
