"""What is wrong with a box."""

from __future__ import annotations

import numpy as np
import pytest

from inspection.detection import boxes
from inspection.detection.boxes import Boxes, judge, judged

OBJECT = [10.0, 10.0, 20.0, 20.0]
TRUTH = Boxes(np.array([OBJECT]), np.array([0]))


def one(corners: list[float], label: int = 0, score: float = 0.9) -> Boxes:
    return Boxes(np.array([corners]), np.array([label]), np.array([score]))


@pytest.mark.parametrize(
    ("corners", "label", "kind"),
    [
        (OBJECT, 0, boxes.RIGHT),
        (OBJECT, 1, boxes.WRONG_CLASS),
        ([10.0, 10.0, 20.0, 14.0], 0, boxes.BADLY_PLACED),
        ([50.0, 50.0, 60.0, 60.0], 0, boxes.NOTHING_THERE),
        ([10.0, 10.0, 20.0, 14.0], 1, boxes.NOTHING_THERE),
    ],
)
def test_a_box_is_judged_by_class_and_overlap(corners: list[float], label: int, kind: str) -> None:
    kinds, missed = judge(one(corners, label), TRUTH, 0.5)
    assert kinds == [kind]
    assert missed.tolist() == [kind != boxes.RIGHT]


def test_the_second_box_of_an_object_is_a_duplicate() -> None:
    both = Boxes(np.array([OBJECT, OBJECT]), np.array([0, 0]), np.array([0.9, 0.8]))
    assert judge(both, TRUTH, 0.5)[0] == [boxes.RIGHT, boxes.DUPLICATE]


def test_a_box_takes_a_free_object_rather_than_a_taken_one_that_it_overlaps_more() -> None:
    truth = Boxes(np.array([OBJECT, [12.0, 10.0, 22.0, 20.0]]), np.array([0, 0]))
    both = Boxes(np.array([OBJECT, [10.5, 10.0, 20.5, 20.0]]), np.array([0, 0]), np.array([0.9, 0.8]))
    assert judge(both, truth, 0.5)[0] == [boxes.RIGHT, boxes.RIGHT]


def test_below_the_confidence_a_box_is_gone_and_its_object_missed() -> None:
    table = judged([one(OBJECT, score=0.4)], [TRUTH], 0.5, 0.5)
    assert table["kind"].tolist() == [boxes.MISSED]


def test_a_picture_without_boxes_and_objects_gives_no_row() -> None:
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    assert judged([nothing], [nothing], 0.0, 0.5).empty
    assert boxes.precision_recall(boxes.curves([nothing], [nothing], 2), 0.5).empty


def test_average_precision_is_that_of_coco_by_hand() -> None:
    given = [one(OBJECT, 0, 0.9), one([50.0, 50, 60, 60], 0, 0.5), one(OBJECT, 0, 0.3)]
    found = boxes.curves(given, [TRUTH] * 3, 2)
    # Up to a third of the objects are found at precision 1, up to two thirds at 2/3: 34 and 33 of the 101 recalls.
    assert boxes.average_precision(found, 0.5, 0) == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert np.isnan(boxes.average_precision(found, 0.5, 1))
    table = boxes.precision_recall(found, 0.5)
    assert set(table["label"]) == {0} and table["recall"].tolist() == pytest.approx(np.arange(101) / 100)
    assert table["precision"].mean() == pytest.approx(boxes.average_precision(found, 0.5, 0))


@pytest.mark.parametrize(
    ("metrics", "number"),
    [([{"type": "BoxScores", "args": {"detections": 300}}], 300), ([{"type": "BoxScores"}], 100), ([], 100), (None, 100)],
)
def test_as_many_boxes_count_as_the_metric_of_the_run_counts(metrics: object, number: int) -> None:
    assert boxes.detections({"metrics": metrics}) == number
