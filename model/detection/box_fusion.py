"""Fusion of boxes: of the views of a picture, and of several checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from base.base_fusion import FUSIONS, BaseFusion
from base.predictions import Predictions, errors_of, require_alike
from base.types import Count, Positive, Share

COLUMNS = ("boxes", "scores", "labels")


class Pool(NamedTuple):
    """Boxes in one picture, of all sources. When boxes are joined: boxes of one class, surest first."""

    boxes: np.ndarray  # (n, 4) xyxy in pixels
    scores: np.ndarray  # (n,)
    weights: np.ndarray  # (n,) weight of the source of each box


Join = Callable[[Pool], tuple[np.ndarray, np.ndarray]]  # -> boxes (m, 4), scores (m,)


@FUSIONS.register("detection")
class BoxFusion(BaseFusion):
    """Join the boxes of several sources, class by class: choose one of several overlapping boxes, or average them.

    `nms` keeps the surest of overlapping boxes; `soft_nms` keeps all, with scores that fall with their overlap with surer
    ones; `wbf` replaces overlapping boxes by their mean, with a score that is the higher the more sources agree.
    """

    def __init__(
        self,
        method: Annotated[
            Literal["wbf", "soft_nms", "nms"],
            Field(description='"wbf" for weighted boxes fusion, "soft_nms" or "nms" for (soft) non-maximum suppression'),
        ] = "wbf",
        iou: Annotated[
            Share, Field(description='boxes that overlap by a larger IoU are of the same object, for "wbf" and "nms"')
        ] = 0.55,
        sigma: Annotated[Positive, Field(description='width of the Gaussian by which "soft_nms" lowers scores')] = 0.5,
        score: Annotated[Share, Field(description="boxes with less confidence are dropped, before and after the fusion")] = 0.001,
        detections: Annotated[Count, Field(description="largest number of boxes of a picture")] = 100,
    ) -> None:
        self.method, self.iou, self.sigma = method, iou, sigma
        self.score, self.detections = score, detections

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return one set of boxes for each sample, surest first.

        weights: a weight for each source. "nms" and "soft_nms" multiply the scores of a source by its weight over the largest
        weight.
        """
        require_alike(several)
        shares = np.ones(len(several)) if weights is None else np.asarray(weights, np.float64)
        join = self._join(shares)
        # Leave out sources of weight 0: their boxes would be clusters without a mean.
        counted = np.flatnonzero(shares > 0)
        columns = [[several[int(source)].lists(name) for source in counted] for name in COLUMNS]
        rows = []
        for row in range(len(several[0])):
            boxes, scores, labels = ([source[row] for source in column] for column in columns)
            each = np.repeat(shares[counted], [len(one) for one in scores])
            pool = Pool(np.concatenate(boxes).astype(np.float64), np.concatenate(scores).astype(np.float64), each)
            rows.append(self._of_picture(pool, np.concatenate(labels), join))
        fused = [[torch.from_numpy(item) for item in column] for column in zip(*rows, strict=True)]
        return Predictions.of(several[0].ids(), dict(zip(COLUMNS, fused, strict=True)), errors_of(several))

    def _join(self, shares: np.ndarray) -> Join:
        if self.method == "wbf":
            return partial(weighted_boxes, iou=self.iou, total=float(shares.sum()), sources=len(shares))
        if self.method == "nms":
            return partial(surest_boxes, iou=self.iou, heaviest=float(shares.max()))
        return partial(softened_boxes, sigma=self.sigma, heaviest=float(shares.max()))

    def _of_picture(self, pool: Pool, labels: np.ndarray, join: Join) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes (n, 4) float32, scores (n,) float32, labels (n,) int64 of a picture.

        pool, labels: all N boxes of the picture, in any order.
        """
        joined = [(np.zeros((0, 4)), np.zeros(0), np.zeros(0))]
        order = np.argsort(-pool.scores * pool.weights, kind="stable")
        for label in np.unique(labels):
            mine = order[(labels[order] == label) & (pool.scores[order] >= self.score)]
            boxes, scores = join(Pool(pool.boxes[mine], pool.scores[mine], pool.weights[mine]))
            joined.append((boxes, scores, np.full(len(scores), label)))
        boxes, scores, names = (np.concatenate(part) for part in zip(*joined, strict=True))
        best = np.argsort(-scores, kind="stable")[: self.detections]
        best = best[scores[best] >= self.score]
        return boxes[best].astype(np.float32), scores[best].astype(np.float32), names[best].astype(np.int64)


def weighted_boxes(pool: Pool, iou: float, total: float, sources: int) -> tuple[np.ndarray, np.ndarray]:
    """Join boxes by weighted boxes fusion (Solovyev et al. 2021, section 3); return boxes (m, 4), scores (m,) float64.

    Sources have weights as in the authors' program. A box, surest first, joins the fused box that it overlaps most, if by more
    than `iou`; otherwise it begins a new fused box. A fused box is the mean of its boxes, weighted with weight times score.
    Its score is the mean of these products, times the smaller of the number of its boxes and the number of sources, over the
    weights' `total` (equation 5).
    """
    sums = np.zeros((len(pool.boxes), 5))  # sums of weight * score * box, and of weight * score
    counts = np.zeros(len(pool.boxes))
    number = 0
    for box, confidence in zip(pool.boxes, pool.scores * pool.weights, strict=True):
        fused = sums[:number, :4] / sums[:number, 4:]
        overlaps = overlap(fused, box)
        place = int(overlaps.argmax()) if number else 0
        if not number or overlaps[place] <= iou:
            place, number = number, number + 1
        sums[place] += confidence * np.append(box, 1.0)
        counts[place] += 1
    sums, counts = sums[:number], counts[:number]
    return sums[:, :4] / sums[:, 4:], sums[:, 4] / counts * np.minimum(sources, counts) / total


def surest_boxes(pool: Pool, iou: float, heaviest: float) -> tuple[np.ndarray, np.ndarray]:
    """Apply non-maximum suppression; return boxes (m, 4) and scores (m,).

    A box is dropped if it overlaps a surer box that is kept by more than `iou`.
    """
    from torchvision.ops import nms

    scores = pool.scores * pool.weights / heaviest
    kept = nms(torch.from_numpy(pool.boxes), torch.from_numpy(scores), iou).numpy()
    return pool.boxes[kept], scores[kept]


def softened_boxes(pool: Pool, sigma: float, heaviest: float) -> tuple[np.ndarray, np.ndarray]:
    """Apply soft non-maximum suppression with a Gaussian (Bodla et al. 2017, equation 3); return boxes (n, 4), scores (n,).

    Repeat: take the surest box, and multiply the scores of the remaining boxes by exp(-IoU ** 2 / sigma).
    """
    scores = pool.scores * pool.weights / heaviest
    left, order = np.ones(len(scores), bool), []
    for _ in range(len(scores)):
        best = int(np.where(left, scores, -1.0).argmax())
        left[best] = False
        order.append(best)
        scores[left] *= np.exp(-(overlap(pool.boxes[left], pool.boxes[best]) ** 2) / sigma)
    return pool.boxes[order], scores[order]


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes (n, 4) with one box (4,), (n,) float; 0 if both are empty."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common: np.ndarray = np.clip(sides, 0, None).prod(1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - common
    shares: np.ndarray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares
