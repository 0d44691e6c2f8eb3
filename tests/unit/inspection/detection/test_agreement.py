"""Every number that the app shows of boxes is that of the metric on the same predictions, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from base.contracts import DataSpec
from base.detection.objects import OBJECT, class_counts, object_columns
from base.evaluation import Manifest
from inspection.detection import boxes
from inspection.detection.views.boxes import _judged, true_boxes
from inspection.results import Result
from model.detection.average_precision import true_positives
from model.detection.scores import BoxScores, predicted_boxes, truth_of
from tests.detection.boxes import CLASSES, box_predictions, box_table, random_case

SPEC = DataSpec({OBJECT: CLASSES})
OVERLAPS = [round(0.5 + 0.05 * step, 2) for step in range(10)]


@pytest.fixture(params=range(8))
def result(request: pytest.FixtureRequest, tmp_path: Path) -> Result:
    truth, found = random_case(request.param)
    table = box_table(*truth)
    counts, codes = np.array([len(labels) for labels in truth[1]]), np.concatenate(truth[1]).astype(int)
    names = object_columns(np.zeros((len(codes), 4)), codes, CLASSES, counts)["names"]
    (tmp_path / "predictions.parquet").touch()
    return Result(tmp_path, box_predictions(*found), Manifest("valid", spec=SPEC), table.with_column("names", names))


def test_the_average_precision_of_a_class_is_that_of_the_metric(result: Result, tmp_path: Path) -> None:
    scores = BoxScores(SPEC).compute(result.predictions, result.samples)
    curves = _judged(tmp_path / "predictions.parquet", result, tuple(CLASSES), 100).curves
    assert curves is not None
    for label, name in enumerate(CLASSES):
        at = {overlap: boxes.average_precision(curves, overlap, label) for overlap in OVERLAPS}
        if f"ap/{name}" in scores:
            assert (at[0.5], at[0.75]) == (scores[f"ap50/{name}"], scores[f"ap75/{name}"])
            assert np.mean(list(at.values())) == pytest.approx(scores[f"ap/{name}"])
        else:
            assert np.isnan(list(at.values())).all()


def test_the_objects_of_a_class_are_those_that_the_metric_counts(result: Result, tmp_path: Path) -> None:
    truth = truth_of(result.samples)
    counted = np.bincount(np.concatenate(truth.labels), minlength=len(CLASSES)).tolist()
    assert class_counts(result.samples, CLASSES) == counted
    assert _judged(tmp_path / "predictions.parquet", result, tuple(CLASSES), 100).objects.tolist() == counted
    assert [one.labels.tolist() for one in true_boxes(result, CLASSES)] == [labels.tolist() for labels in truth.labels]


@pytest.mark.parametrize("overlap", [0.5, 0.75])
@pytest.mark.parametrize("confidence", [0.0, 0.3, 0.7])
def test_boxes_are_right_as_the_metric_matches_them(result: Result, tmp_path: Path, overlap: float, confidence: float) -> None:
    data = _judged(tmp_path / "predictions.parquet", result, tuple(CLASSES), 100)
    assert data.truth is not None
    table = boxes.judged(data.predicted, data.truth, confidence, overlap)
    for label in range(len(CLASSES)):
        scores, right, objects = true_positives(truth_of(result.samples), predicted_boxes(result.predictions), label, overlap)
        counts = table[table["label"] == label]["kind"].value_counts()
        assert counts.get(boxes.RIGHT, 0) == right[scores >= confidence].sum()
        assert counts.get(boxes.MISSED, 0) == objects - right[scores >= confidence].sum()
