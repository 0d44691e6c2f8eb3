"""What is wrong with a box."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

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
    assert boxes.precision_recall(judged([nothing], [nothing], 0.0, 0.5), np.zeros(2, int)).empty


def test_overlaps_are_areas_shared_over_areas_covered() -> None:
    assert boxes.overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).tolist() == [[1 / 3, 0.0]]


def test_average_precision_is_the_area_that_scikit_learn_gives_where_precision_falls() -> None:
    given = [one(OBJECT, 0, 0.9), one([50.0, 50, 60, 60], 0, 0.5), one(OBJECT, 0, 0.3)]
    table = judged(given, [TRUTH] * 3, 0.0, 0.5)
    found = boxes.average_precision(boxes.precision_recall(table, np.array([3])))
    wanted = average_precision_score([1, 0, 1], [0.9, 0.5, 0.3]) * 2 / 3  # of the objects, a third is never found
    assert found == pytest.approx(wanted)
