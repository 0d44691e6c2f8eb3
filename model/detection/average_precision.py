"""Average precision as COCO defines it, and other scores from matching boxes with objects: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

IOUS = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "small", "medium", "large")  # small: below 32 x 32 pixels of the original picture, medium: below 96 x 96


class Objects(NamedTuple):
    """The objects of every picture, in order: N arrays of boxes (n_i, 4) xyxy in pixels, and N arrays of class numbers (n_i,)."""

    boxes: list[np.ndarray]
    labels: list[np.ndarray]


class PredictedBoxes(NamedTuple):
    """The predicted boxes of every picture: N arrays of boxes (n_i, 4) xyxy in pixels, of class numbers and of scores (n_i,)."""

    boxes: list[np.ndarray]
    labels: list[np.ndarray]
    scores: list[np.ndarray]


class Curves(NamedTuple):
    """Precision and recall by IoU, recall, class and area; -1 if a class has no object of the area."""

    precision: np.ndarray  # (10 of IOUS, 101 of RECALLS, K, 4 of AREAS): the best precision at this recall or a larger one
    recall: np.ndarray  # (10, K, 4): recall of all predictions


RECALLS = np.linspace(0, 1, 101)
DETECTIONS = 100  # boxes of a class in a picture that count, as COCO has it


def coco_curves(truth: Objects, predicted: PredictedBoxes, classes: int, detections: int) -> Curves:
    """Return COCO's curves, computed by faster-coco-eval.

    detections: largest number of boxes of a class in a picture that count, the surest first.

    Source: the COCO detection evaluation, cocoeval.py of pycocotools; the numbers are the same.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    pictures = len(truth.boxes)
    sides = []
    for boxes, labels, scores in ((truth.boxes, truth.labels, None), (predicted.boxes, predicted.labels, predicted.scores)):
        side = COCO(print_function=_silent)
        side.dataset = {
            "images": [{"id": number + 1} for number in range(pictures)],
            "categories": [{"id": number + 1} for number in range(classes)],
            "annotations": _annotations(boxes, labels, scores),
        }
        side.createIndex()
        sides.append(side)
    evaluation = COCOeval_faster(*sides, iouType="bbox", print_function=_silent)
    evaluation.params.maxDets = [detections]
    evaluation.params.iouThrs, evaluation.params.recThrs = IOUS, RECALLS
    evaluation.evaluate()
    evaluation.accumulate()
    curves: dict[str, np.ndarray] = evaluation.eval
    shape = (len(IOUS), len(RECALLS), classes, len(AREAS))
    precision = np.asarray(curves["precision"]).reshape(*shape)
    return Curves(precision, np.asarray(curves["recall"]).reshape(shape[0], *shape[2:]))


def mean_known(values: np.ndarray) -> float | None:
    """Return the mean of the values that are not -1; None if all are -1. values: float of any shape."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def true_positives(truth: Objects, predicted: PredictedBoxes, label: int, iou: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Return scores of a class's boxes (n,), True for each right box (n,), both surest first, and the number of its objects.

    A picture's boxes are taken in order of their scores: each takes the object that it overlaps most, of the objects that are
    not taken, if the IoU is at least `iou`. So a box is right or wrong independently of the cut of the scores.
    """
    scores, right, objects = [], [], 0
    for row in range(len(truth.boxes)):
        mine, its = truth.labels[row] == label, predicted.labels[row] == label
        order = np.argsort(-predicted.scores[row][its], kind="stable")
        taken = match(predicted.boxes[row][its][order], truth.boxes[row][mine], iou)
        scores.append(predicted.scores[row][its][order])
        right.append(taken >= 0)
        objects += int(mine.sum())
    order = np.argsort(-np.concatenate([*scores, []]), kind="stable")
    return np.concatenate([*scores, []])[order], np.concatenate([*right, []]).astype(bool)[order], objects


def match(boxes: np.ndarray, objects: np.ndarray, iou: float) -> np.ndarray:
    """Return the index of the object that each box takes, surest box first: (n,) int64, -1 for none.

    boxes: (n, 4) float xyxy, surest first. objects: (m, 4) float xyxy.
    """
    taken = np.full(len(boxes), -1)
    overlaps = box_ious(boxes, objects)
    for row in range(len(boxes) if len(objects) else 0):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= iou:
            taken[row] = best
            overlaps[:, best] = -1
    return taken


def box_ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union, (n, 4), (m, 4) -> (n, m); 0 if both boxes are empty."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common: np.ndarray = np.clip(opposite - corner, 0, None).prod(2)
    union = _areas(boxes)[:, None] + _areas(others)[None] - common
    shares: np.ndarray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares


def best_f1(scores: np.ndarray, right: np.ndarray, objects: int) -> tuple[float, float]:
    """Return the largest F1 = 2 tp / (boxes + objects) over all cuts of the scores, and a confidence for the cut.

    The confidence lies halfway between the scores on both sides of the cut, below the last score halfway to 0, so that the
    last digits of a score do not change a decision. Without any box or any object F1 is 0 and the confidence 1.

    scores: (n,) float, surest first. right: (n,) bool.
    """
    if not len(scores) or not objects:
        return 0.0, 1.0
    f1 = 2 * np.cumsum(right) / (np.arange(1, len(scores) + 1) + objects)
    f1[:-1][scores[:-1] == scores[1:]] = -1  # no cut between equal scores
    best = int(f1.argmax())
    return float(f1[best]), float(np.append(scores, 0.0)[best : best + 2].mean())


def f1_at(scores: np.ndarray, right: np.ndarray, objects: int, confidence: float) -> float:
    """Return F1 of the boxes whose score is at least `confidence`; 0 if there are neither boxes nor objects.

    scores: (n,) float. right: (n,) bool.
    """
    kept = scores >= confidence
    return float(2 * right[kept].sum() / max(1, kept.sum() + objects))


def box_confusion(truth: Objects, predicted: PredictedBoxes, confidences: Sequence[float], iou: float) -> np.ndarray:
    """Return numbers of objects and boxes, (K + 1, K + 1) int64; rows are the truth, columns predictions, the last is background.

    Boxes below their class's confidence are left out. The other boxes take objects of any class, surest first, as in `match`:
    an object that no box takes counts as predicted background, a box that takes no object as true background.
    """
    classes = len(confidences)
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    least = np.asarray(confidences)
    for boxes, labels, scores, objects, names in zip(predicted.boxes, predicted.labels, predicted.scores, *truth, strict=True):
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= least[labels[order]]]
        taken = match(boxes[order], objects, iou)
        np.add.at(counts, (np.where(taken >= 0, names[taken] if len(names) else 0, classes), labels[order]), 1)
        np.add.at(counts[:, classes], np.delete(names, taken[taken >= 0]), 1)
    return counts


def _annotations(boxes: list[np.ndarray], labels: list[np.ndarray], scores: list[np.ndarray] | None) -> list[dict[str, Any]]:
    """Return COCO's annotation dictionaries; a box is x, y, width, height in pixels."""
    entries: list[dict[str, Any]] = []
    for picture, (some, names) in enumerate(zip(boxes, labels, strict=True)):
        for item, (box, name) in enumerate(zip(some.astype(np.float64).tolist(), names.tolist(), strict=True)):
            width, height = box[2] - box[0], box[3] - box[1]
            entry = {
                "id": len(entries) + 1,
                "image_id": picture + 1,
                "category_id": name + 1,
                "iscrowd": 0,
                "bbox": [box[0], box[1], width, height],
                "area": width * height,
            }
            entries.append(entry if scores is None else {**entry, "score": float(scores[picture][item])})
    return entries


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))


def _silent(*_: object) -> None:
    """Print nothing, in place of the library's print function."""
