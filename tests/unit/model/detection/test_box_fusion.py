"""Fusing boxes: against ensemble-boxes and slow loops, and what becomes of empty rows, errors and weights.

ensemble-boxes is compared with for weighted boxes alone: its soft suppression gives back the scores that it was given.
"""

import numpy as np
import pytest
from ensemble_boxes import weighted_boxes_fusion

from model.detection.box_fusion import BoxFusion
from tests.detection.boxes import box_predictions, random_boxes
from utils.errors import UserError

SIDE = 200


def sources(seed, number=3, pictures=4):
    """Boxes, scores and labels of each source: noisy sights of the same objects, and some of nothing."""
    random = np.random.default_rng(seed)
    objects = [random_boxes(random, random.integers(0, 4), SIDE) for _ in range(pictures)]
    classes = [random.integers(0, 2, len(some)) for some in objects]
    given = []
    for _ in range(number):
        seen = [random.random(len(some)) < 0.8 for some in objects]
        boxes = [(o[s] + random.normal(0, 3, (s.sum(), 4))).clip(0, SIDE - 2) for o, s in zip(objects, seen, strict=True)]
        boxes = [np.float32(np.concatenate([some, random_boxes(random, random.integers(0, 2), SIDE - 2)])) for some in boxes]
        for some in boxes:
            some[:, 2:] = np.maximum(some[:, 2:], some[:, :2] + 1)
        labels = [
            np.concatenate([c[s], random.integers(0, 2, len(b) - s.sum())]) for c, s, b in zip(classes, seen, boxes, strict=True)
        ]
        given.append((boxes, [np.float32(random.uniform(0.05, 1, len(some))) for some in boxes], labels))
    return given


def fused(fusion, given, weights=None):
    return fusion.fuse([box_predictions(*source) for source in given], weights)


def by_library(given, row, **options):
    """A row as ensemble-boxes fuses it, which wants coordinates from 0 to 1."""
    boxes = [(source[0][row] / SIDE).tolist() for source in given]
    result = weighted_boxes_fusion(boxes, [s[1][row].tolist() for s in given], [s[2][row].tolist() for s in given], **options)
    order = np.argsort(-np.asarray(result[1]), kind="stable")
    return [np.asarray(part)[order] for part in (np.reshape(result[0], (-1, 4)) * SIDE, result[1], result[2])]


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("weights", [None, [2.0, 1.0, 0.5]])
def test_weighted_boxes_are_those_of_ensemble_boxes(seed, weights):
    given = sources(seed)
    result = fused(BoxFusion("wbf", score=0.0), given, weights)
    for row in range(4):
        boxes, scores, labels = by_library(given, row, weights=weights, iou_thr=0.55)
        assert result.lists("boxes")[row] == pytest.approx(boxes, abs=1e-3)
        assert result.lists("scores")[row] == pytest.approx(scores, abs=1e-5)
        assert result.lists("labels")[row].tolist() == labels.tolist()


def slow_overlap(one, other):
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - common)


def slowly(given, row, lower):
    """The surest box is taken again and again, and `lower` gives the scores of the others their factor."""
    left = [[s, b, n] for source in given for b, s, n in zip(*(part[row].tolist() for part in source), strict=True)]
    taken = []
    while left:
        best = max(range(len(left)), key=lambda place: left[place][0])
        taken.append(left.pop(best))
        for entry in left:
            if entry[2] == taken[-1][2]:
                entry[0] *= lower(slow_overlap(entry[1], taken[-1][1]))
    taken = sorted((entry for entry in taken if entry[0] > 0.001), key=lambda entry: -entry[0])
    return [entry[1] for entry in taken], [entry[0] for entry in taken]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("method", ["nms", "soft_nms"])
def test_suppressed_and_softened_boxes_are_those_of_a_slow_loop(method, seed):
    given = sources(seed)
    result = fused(BoxFusion(method, iou=0.5, sigma=0.3, score=0.001), given)
    factor = (lambda iou: 0.0 if iou > 0.5 else 1.0) if method == "nms" else (lambda iou: np.exp(-(iou**2) / 0.3))
    for row in range(4):
        boxes, scores = slowly([(s[0], s[1], s[2]) for s in given], row, factor)
        assert result.lists("boxes")[row].ravel() == pytest.approx(np.ravel(boxes), abs=1e-3)
        assert result.lists("scores")[row] == pytest.approx(scores, rel=1e-4)


@pytest.mark.parametrize("method", ["wbf", "nms", "soft_nms"])
def test_pictures_without_boxes_stay_empty(method):
    empty = [np.zeros((0, 4))], [[]], [[]]
    result = fused(BoxFusion(method), [empty, empty])
    assert [len(result.lists(name)[0]) for name in ("boxes", "scores", "labels")] == [0, 0, 0]
    assert result.lists("boxes")[0].shape == (0, 4)


@pytest.mark.parametrize("method", ["wbf", "nms", "soft_nms"])
def test_a_source_of_weight_0_changes_nothing(method):
    given = sources(1)
    alone, both = fused(BoxFusion(method), given[:2], [1.0, 2.0]), fused(BoxFusion(method), given, [1.0, 2.0, 0.0])
    assert [one.tolist() for one in both.lists("boxes")] == [one.tolist() for one in alone.lists("boxes")]


def test_a_box_that_half_of_the_sources_see_has_half_the_score():
    seen, unseen = ([[[10, 10, 50, 50]]], [[0.8]], [[1]]), ([np.zeros((0, 4))], [[]], [[]])
    assert fused(BoxFusion("wbf"), [seen, unseen]).lists("scores")[0] == pytest.approx([0.4])


@pytest.mark.parametrize("method", ["wbf", "nms"])
def test_overlapping_boxes_of_two_classes_both_stay(method):
    one, other = ([[[10, 10, 50, 50]]], [[0.8]], [[1]]), ([[[10, 10, 50, 50]]], [[0.6]], [[0]])
    assert fused(BoxFusion(method), [one, other]).lists("labels")[0].tolist() == [1, 0]


def test_an_error_in_one_source_is_an_error():
    good, bad = box_predictions([[[0, 0, 5, 5]]], [[0.5]], [[0]]), box_predictions([np.zeros((0, 4))], [[]], [[]], ["cut short"])
    assert BoxFusion().fuse([good, bad]).failed() == {"s000": "cut short"}


def test_only_the_surest_boxes_stay():
    given = sources(2)
    few = fused(BoxFusion("nms", detections=1), given).lists("scores")
    assert few == [one[:1] for one in fused(BoxFusion("nms"), given).lists("scores")]


def test_predictions_of_other_samples_are_refused():
    one, two = box_predictions([[[0, 0, 5, 5]]], [[0.5]], [[0]]), box_predictions([[[0, 0, 5, 5]]] * 2, [[0.5]] * 2, [[0]] * 2)
    with pytest.raises(UserError, match="different samples"):
        BoxFusion().fuse([one, two])
