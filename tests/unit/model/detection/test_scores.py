"""Average precision against pycocotools, matching against slow loops, and the figures of boxes."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from base.contracts import DataSpec
from base.predictions import Predictions
from model.detection.average_precision import Objects, PredictedBoxes, best_f1, box_confusion, f1_at, match, true_positives
from model.detection.scores import BoxGrid, BoxScores
from tests.detection.boxes import CLASSES, box_predictions, box_table, random_case
from utils.errors import UserError

SPEC = DataSpec({"object": CLASSES})


def pycocotools_scores(truth, found, detections=100):
    """What pycocotools says of a case, by our names; -1 where there is nothing to find."""
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for boxes, labels, scores in ((*truth, None), (found[0], found[2], found[1])):
            side, entries = COCO(), []
            for picture, (some, names) in enumerate(zip(boxes, labels, strict=True)):
                for item, (x1, y1, x2, y2) in enumerate(np.asarray(some).tolist()):
                    entry = {"id": len(entries) + 1, "image_id": picture + 1, "category_id": int(names[item]) + 1, "iscrowd": 0,
                             "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}  # fmt: skip
                    entries.append(entry if scores is None else {**entry, "score": float(scores[picture][item])})
            side.dataset = {
                "images": [{"id": number + 1} for number in range(len(boxes))],
                "categories": [{"id": number + 1} for number in range(len(CLASSES))],
                "annotations": entries,
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.maxDets = [detections]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][..., 0], evaluation.eval["recall"][..., 0]

    def mean(values):
        return float(values[values > -1].mean()) if (values > -1).any() else -1

    scores = {"map": mean(precision[..., 0]), "ap50": mean(precision[0, ..., 0]), "ap75": mean(precision[5, ..., 0])}
    scores |= {f"ap_{area}": mean(precision[..., place]) for place, area in ((1, "small"), (2, "medium"), (3, "large"))}
    scores["recall"] = mean(recall[..., 0])
    for number, name in enumerate(CLASSES):
        scores |= {f"ap/{name}": mean(precision[:, :, number, 0]), f"ap50/{name}": mean(precision[0, :, number, 0])}
        scores[f"ap75/{name}"] = mean(precision[5, :, number, 0])
    return scores


def stored(found):
    """A case's predictions as they are stored, in single precision, for the library to compare."""
    return [one.astype(np.float32) for one in found[0]], [one.astype(np.float32) for one in found[1]], found[2]


# Average precision ---------------------------------------------------------------------------------------------------


def test_average_precision_is_that_of_pycocotools_in_200_random_cases():
    for seed in range(200):
        truth, found = random_case(seed)
        expected = {name: value for name, value in pycocotools_scores(truth, stored(found)).items() if value > -1}
        scores = BoxScores(SPEC).compute(box_predictions(*found), box_table(*truth))
        assert {name: value for name, value in scores.items() if not name.startswith("f1")} == pytest.approx(expected), seed


def test_only_the_surest_boxes_of_a_class_in_a_picture_count():
    truth, found = random_case(3)
    scores = BoxScores(SPEC, detections=1).compute(box_predictions(*found), box_table(*truth))
    assert scores["map"] == pytest.approx(pycocotools_scores(truth, stored(found), 1)["map"])


def test_a_set_without_objects_has_no_scores():
    nothing = [np.zeros((0, 4))] * 2, [np.zeros(0)] * 2
    predictions = box_predictions(nothing[0], nothing[1], nothing[1])
    assert BoxScores(SPEC).compute(predictions, box_table(*nothing)) == {}


def test_objects_of_which_none_is_found_score_0():
    boxes, labels = [np.array([[0, 0, 10, 10]])], [[1]]
    empty = box_predictions([np.zeros((0, 4))], [[]], [[]])
    scores = BoxScores(SPEC).compute(empty, box_table(boxes, labels))
    assert set(scores.values()) == {0.0} and "ap/open" in scores and "ap/closed" not in scores


def test_perfect_boxes_score_1():
    boxes, labels = [np.array([[0, 0, 10, 10], [50, 50, 90, 90]]), np.array([[5, 5, 180, 180]])], [[0, 1], [2]]
    scores = BoxScores(SPEC).compute(box_predictions(boxes, [[0.9, 0.8], [0.7]], labels), box_table(boxes, labels))
    assert set(scores) == set(BoxScores(SPEC).names) and set(scores.values()) == {1.0}


def test_a_box_that_is_not_finite_is_refused_by_name():
    predictions = box_predictions([[[0, 0, np.nan, 5]]], [[0.5]], [[0]])
    with pytest.raises(UserError, match="the boxes of 1 samples are not finite: s000"):
        BoxScores(SPEC).compute(predictions, box_table([np.zeros((0, 4))], [[]]))


def test_a_sample_without_a_prediction_is_refused_by_name():
    predictions = box_predictions([np.zeros((0, 4))], [[]], [[]], ["is cut short"])
    with pytest.raises(UserError, match=r"s000 \(is cut short\)"):
        BoxScores(SPEC).compute(predictions, box_table([np.zeros((0, 4))], [[]]))


# Matching, F1, confusion ---------------------------------------------------------------------------------------------


def slow_f1(truth, found, label, confidence, iou):
    """Match again for this confidence alone, and count."""
    right = wrong = missed = 0
    for objects, names, boxes, scores, labels in zip(*truth, *found, strict=True):
        left = [tuple(box) for box, name in zip(objects, names, strict=True) if name == label]
        entries = [(s, row) for row, (s, n) in enumerate(zip(scores, labels, strict=True)) if n == label and s >= confidence]
        for _, row in sorted(entries, key=lambda entry: -entry[0]):
            overlaps = [slow_iou(boxes[row], other) for other in left]
            if overlaps and max(overlaps) >= iou:
                left.pop(int(np.argmax(overlaps)))
                right += 1
            else:
                wrong += 1
        missed += len(left)
    return 2 * right / max(1, 2 * right + wrong + missed)


def slow_iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - common)


@pytest.mark.parametrize("seed", range(20))
def test_f1_at_every_confidence_is_that_of_a_slow_count_and_none_is_better_than_the_best(seed):
    truth, found = random_case(seed)
    by_class = Objects(*truth), PredictedBoxes(found[0], found[2], found[1])
    for label in range(3):
        scores, right, objects = true_positives(*by_class, label, 0.5)
        every = [slow_f1(truth, found, label, cut, 0.5) for cut in scores]
        assert [f1_at(scores, right, objects, cut) for cut in scores] == pytest.approx(every)
        best, cut = best_f1(scores, right, objects)
        assert best == pytest.approx(max(every, default=0) if objects else 0)
        assert f1_at(scores, right, objects, cut) == pytest.approx(best) or not objects


def test_the_fitted_confidence_lies_between_the_scores_on_both_sides_of_the_cut():
    scores = np.array([0.9, 0.6, 0.4])
    assert best_f1(scores, np.array([True, False, False]), 1) == (1.0, 0.75)
    assert best_f1(scores, np.array([True, True, True]), 3) == (1.0, 0.2)


def test_the_confidence_that_was_fitted_is_used():
    truth, found = random_case(7)
    metric, table, predictions = BoxScores(SPEC), box_table(*truth), box_predictions(*found)
    fitted = metric.fit(predictions, table)
    before = metric.compute(predictions, table)["f1"]
    metric.use(fitted)
    assert metric.compute(predictions, table)["f1"] > before
    assert list(fitted) == [f"confidence/{name}" for name in CLASSES] and all(type(cut) is float for cut in fitted.values())


def test_decisions_are_how_many_objects_of_each_class_a_sample_shows_at_the_fitted_confidences():
    metric = BoxScores(SPEC)
    metric.use({"confidence/closed": 0.3, "confidence/mouth": 0.9})
    boxes = [np.tile([0, 0, 10, 10.0], (4, 1)), np.zeros((0, 4))]
    predictions = box_predictions(boxes, [[0.8, 0.3, 0.6, 0.8], []], [[0, 0, 1, 2], []])
    assert metric.decisions(predictions).tolist() == [2, 1, 0, 0, 0, 0]


def test_a_box_takes_one_object_and_an_object_one_box():
    boxes = np.array([[0, 0, 10, 10.0], [0, 0, 10, 9], [50, 50, 60, 60]])
    assert match(boxes, np.array([[0, 0, 10, 10.0]]), 0.5).tolist() == [0, -1, -1]


def test_the_confusion_has_background_in_both_directions():
    truth = Objects([np.array([[0, 0, 10, 10.0], [50, 50, 60, 60], [90, 90, 99, 99]])], [np.array([0, 1, 2])])
    boxes = np.array([[0, 0, 10, 10.0], [50, 50, 60, 61], [20, 20, 30, 30], [90, 90, 99, 99]])
    found = PredictedBoxes([boxes], [np.array([0, 2, 1, 2])], [np.array([0.9, 0.8, 0.7, 0.1])])
    counts = box_confusion(truth, found, [0.5, 0.5, 0.5], 0.5)
    assert counts.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


@pytest.mark.parametrize("seed", range(10))
def test_the_confusion_counts_every_object_and_every_box_once(seed):
    truth, found = random_case(seed)
    counts = box_confusion(Objects(*truth), PredictedBoxes(found[0], found[2], found[1]), [0.0] * 3, 0.5)
    assert counts[:3].sum() == sum(map(len, truth[0])) and counts[:, :3].sum() == sum(map(len, found[0]))


# Figures -------------------------------------------------------------------------------------------------------------


def picture_of(row):
    return np.full((200, 200, 3), row, np.uint8)


def test_figures_have_a_curve_for_each_class_with_objects_and_background_in_the_confusion():
    boxes, labels = [np.array([[0, 0, 10, 10], [50, 50, 90, 90]])], [[0, 1]]
    figures = BoxScores(SPEC).figures(box_predictions(boxes, [[0.9, 0.8]], labels), box_table(boxes, labels), picture_of)
    assert [len(axes.lines) for axes in figures["precision-recall"].axes] == [2, 2]
    assert [text.get_text() for text in figures["confusion"].axes[0].get_xticklabels()] == [*CLASSES, "background"]


def test_the_grid_draws_the_truth_and_the_sure_boxes():
    boxes, labels = [np.array([[0, 0, 10, 10], [50, 50, 90, 90]])], [[0, 1]]
    figure = BoxGrid(SPEC).figures(box_predictions(boxes, [[0.9, 0.1]], labels), box_table(boxes, labels), picture_of)["boxes"]
    assert len(figure.axes[0].patches) == 3
    assert [text.get_text() for text in figure.axes[0].texts] == ["closed", "open", "closed 90%"]


def test_the_grid_draws_samples_without_truth_or_without_a_prediction():
    boxes = [np.array([[0, 0, 10, 10]]), np.zeros((0, 4))]
    table = box_table(boxes, [[0], []])
    bare = type(table)(table.root, table.columns.drop_columns(["boxes", "classes"]))
    figure = BoxGrid(SPEC).figures(box_predictions(boxes, [[0.9], []], [[0], []], ["", "unreadable"]), bare, picture_of)["boxes"]
    assert [len(axes.patches) for axes in figure.axes] == [1, 0]


def test_the_grid_of_no_samples_is_none():
    none = Predictions(box_predictions([np.zeros((0, 4))], [[]], [[]]).columns.slice(0, 0))
    assert BoxGrid(SPEC).figures(none, box_table([], []), picture_of) == {}
