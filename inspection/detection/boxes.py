"""Boxes next to the truth: pure functions. Boxes are (n, 4) x1, y1, x2, y2 in pixels of the original picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

NEAR = 0.1  # overlap with an object from which a wrong box counts as badly placed (Bolya et al. 2020, TIDE, section 3)
RIGHT, WRONG_CLASS, BADLY_PLACED, DUPLICATE, NOTHING_THERE, MISSED = (
    "right", "wrong class", "badly placed", "duplicate", "nothing there", "missed",
)  # fmt: skip
KINDS = (MISSED, WRONG_CLASS, BADLY_PLACED, DUPLICATE, NOTHING_THERE, RIGHT)


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture. scores is None for the truth."""

    boxes: np.ndarray  # (n, 4)
    labels: np.ndarray  # (n,) class numbers
    scores: np.ndarray | None = None  # (n,) in [0, 1]

    def above(self, confidence: float) -> Boxes:
        """Those at least so confident, the most confident first."""
        assert self.scores is not None
        rows = np.argsort(-self.scores, kind="stable")
        rows = rows[self.scores[rows] >= confidence]
        return Boxes(self.boxes[rows], self.labels[rows], self.scores[rows])


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 where both are empty."""
    top, bottom = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(bottom - top, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared, dtype=float), where=union > 0))


def judge(predicted: Boxes, truth: Boxes, threshold: float) -> tuple[list[str], np.ndarray]:
    """What each predicted box is, one of KINDS, and which objects were missed, (m,) bool.

    The boxes come in order of confidence. Each takes the object of its class that it overlaps most, if that is by at
    least the threshold and nobody took it before; as COCO's evaluation does. A missed object is one that nobody took.
    """
    shared = overlaps(predicted.boxes, truth.boxes)
    taken, kinds = np.zeros(len(truth.labels), dtype=bool), []
    for row, label in enumerate(predicted.labels):
        own, near = truth.labels == label, shared[row]
        free = np.where(own & ~taken, near, -1)
        if len(free) and free.max() >= threshold:
            taken[free.argmax()] = True
            kinds.append(RIGHT)
        else:
            kinds.append(_why_wrong(near, own, threshold))
    return kinds, ~taken


def _why_wrong(near: np.ndarray, own: np.ndarray, threshold: float) -> str:
    if np.any(near[own] >= threshold):
        return DUPLICATE
    if np.any(near[~own] >= threshold):
        return WRONG_CLASS
    return BADLY_PLACED if np.any(near[own] >= NEAR) else NOTHING_THERE


def judged(predicted: Sequence[Boxes], truth: Sequence[Boxes], confidence: float, threshold: float) -> pd.DataFrame:
    """A row per predicted box and per missed object of all pictures: sample (row), kind, label, score, side.

    side: the square root of the box's area in pixels.
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


def precision_recall(table: pd.DataFrame, objects: np.ndarray) -> pd.DataFrame:
    """Columns label, score, precision, recall: from the confident to the rest, of what `judged` gave at confidence 0.

    objects: (K,) how many true objects each class has. At one score the counts are those after all boxes with it.
    """
    boxes = table[table["kind"] != MISSED].sort_values("score", ascending=False, kind="stable")
    pieces = []
    for label in sorted(set(boxes["label"].tolist())):
        rows = boxes[boxes["label"] == label]
        right = (rows["kind"] == RIGHT).to_numpy().cumsum()
        scores = rows["score"].to_numpy()
        ends = np.flatnonzero(np.append(scores[:-1] != scores[1:], True))
        counts = int(objects[label]) if label < len(objects) else 0
        precision = right[ends] / (ends + 1)
        recall = right[ends] / counts if counts else np.full(len(ends), np.nan)
        pieces.append(pd.DataFrame({"label": label, "score": scores[ends], "precision": precision, "recall": recall}))
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=["label", "score", "precision", "recall"])


def average_precision(curve: pd.DataFrame) -> float:
    """The area under the curve of one class with precision made to fall (all-point interpolation, Everingham et al. 2015)."""
    if curve.empty or curve["recall"].isna().any():
        return float("nan")
    best = np.maximum.accumulate(curve["precision"].to_numpy()[::-1])[::-1]
    return float(np.sum(np.diff(curve["recall"].to_numpy(), prepend=0.0) * best))
