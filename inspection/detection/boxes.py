"""Comparison of boxes with the truth. Boxes: (n, 4) x1, y1, x2, y2 in pixels of the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from model.detection.average_precision import (  # fmt: skip
    DETECTIONS,
    IOUS,
    RECALLS,
    Curves,
    Objects,
    PredictedBoxes,
    box_ious,
    coco_curves,
    match,
    mean_known,
)

NEAR = 0.1  # overlap with an object from which a wrong box counts as badly placed (Bolya et al. 2020, TIDE, section 3)
RIGHT, WRONG_CLASS, BADLY_PLACED, DUPLICATE, NOTHING_THERE, MISSED = (
    "right", "wrong class", "badly placed", "duplicate", "nothing there", "missed",
)  # fmt: skip
KINDS = (MISSED, WRONG_CLASS, BADLY_PLACED, DUPLICATE, NOTHING_THERE, RIGHT)


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture, predicted or true. scores: None if the boxes are the truth."""

    boxes: np.ndarray  # (n, 4)
    labels: np.ndarray  # (n,) class numbers
    scores: np.ndarray | None = None  # (n,) in [0, 1]

    def above(self, confidence: float) -> Boxes:
        """Return the boxes whose score is at least `confidence`, the most confident first."""
        assert self.scores is not None
        rows = np.argsort(-self.scores, kind="stable")
        rows = rows[self.scores[rows].astype(np.float64) >= confidence]  # in double precision, as the metric compares
        return Boxes(self.boxes[rows], self.labels[rows], self.scores[rows])


def judge(predicted: Boxes, truth: Boxes, threshold: float) -> tuple[list[str], np.ndarray]:
    """Return the kind of each predicted box (one of KINDS), and a mask (m,) bool of the missed objects.

    predicted: boxes in order of confidence. Boxes are matched to objects of their class as in the metric. An object is missed
    if no box was matched to it. threshold: smallest IoU of a match.
    """
    taken = np.full(len(predicted.labels), -1)  # the object that each box takes
    for label in np.unique(predicted.labels):
        mine, its = np.flatnonzero(predicted.labels == label), np.flatnonzero(truth.labels == label)
        places = match(predicted.boxes[mine], truth.boxes[its], threshold)
        taken[mine[places >= 0]] = its[places[places >= 0]]
    shared = box_ious(predicted.boxes, truth.boxes)
    kinds = [
        RIGHT if taken[row] >= 0 else _why_wrong(shared[row], truth.labels == label, threshold)
        for row, label in enumerate(predicted.labels)
    ]
    return kinds, ~np.isin(np.arange(len(truth.labels)), taken)


def _why_wrong(near: np.ndarray, own: np.ndarray, threshold: float) -> str:
    if np.any(near[own] >= threshold):
        return DUPLICATE
    if np.any(near[~own] >= threshold):
        return WRONG_CLASS
    return BADLY_PLACED if np.any(near[own] >= NEAR) else NOTHING_THERE


def judged(predicted: Sequence[Boxes], truth: Sequence[Boxes], confidence: float, threshold: float) -> pd.DataFrame:
    """Return a table with a row per predicted box and per missed object of all pictures: sample (row), kind, label, score, side.

    side: the square root of the box's area, in pixels. confidence: smallest score of a box that counts. threshold: smallest IoU
    of a match.
    """
    pieces = []
    for sample, (given, true) in enumerate(zip(predicted, truth, strict=True)):
        chosen = given.above(confidence)
        kinds, missed = judge(chosen, true, threshold)
        assert chosen.scores is not None
        boxes = np.concatenate([chosen.boxes, true.boxes[missed]])
        pieces.append({
            "sample": np.full(len(boxes), sample), "kind": np.array([*kinds, *[MISSED] * int(missed.sum())], dtype=object),
            "label": np.concatenate([chosen.labels, true.labels[missed]]).astype(int),
            "score": np.concatenate([chosen.scores, np.full(int(missed.sum()), np.nan)]),
            "side": np.sqrt(np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)),
        })  # fmt: skip
    names = ("sample", "kind", "label", "score", "side")
    return pd.DataFrame({name: np.concatenate([piece[name] for piece in pieces]) if pieces else [] for name in names})


def curves(predicted: Sequence[Boxes], truth: Sequence[Boxes], classes: int, detections: int = DETECTIONS) -> Curves:
    """Return the metric's curves. detections: number of boxes of a class in a picture that count, the most confident first."""
    objects = Objects([one.boxes for one in truth], [one.labels for one in truth])
    scores = [one.scores for one in predicted if one.scores is not None]
    detected = PredictedBoxes([one.boxes for one in predicted], [one.labels for one in predicted], scores)
    return coco_curves(objects, detected, classes, detections)


def detections(config: Mapping[str, Any]) -> int:
    """Return the number of boxes of a class in a picture that the metric counts, from the run's config."""
    given = config.get("metrics")
    parts = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    args = next((part.get("args") for part in parts if part.get("type") == "BoxScores"), None)
    return int(args.get("detections", DETECTIONS)) if isinstance(args, dict) else DETECTIONS


def precision_recall(all_curves: Curves, overlap: float) -> pd.DataFrame:
    """Return a table with the columns label, precision, recall at an overlap of IOUS, for the classes that have objects."""
    precision = all_curves.precision[_place(overlap), :, :, 0]  # (101, K)
    labels = np.flatnonzero((precision > -1).all(axis=0))
    return pd.DataFrame({
        "label": np.repeat(labels, len(RECALLS)),
        "precision": precision[:, labels].T.reshape(-1),
        "recall": np.tile(RECALLS, len(labels)),
    })  # fmt: skip


def average_precision(all_curves: Curves, overlap: float, label: int) -> float:
    """Return the average precision of a class at an overlap of IOUS, in [0, 1]; NaN if the class has no objects."""
    value = mean_known(all_curves.precision[_place(overlap), :, label, 0])
    return float("nan") if value is None else value


def _place(overlap: float) -> int:
    return int(np.abs(IOUS - overlap).argmin())
