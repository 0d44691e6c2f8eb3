"""Assignment of objects to the points of a feature map: pure functions without gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.detection.boxes import Truth, boxes_to_distances, pairwise_iou


class Assignment(NamedTuple):
    """The object of every point."""

    place: Tensor  # (B, A) int64, index of the object in the truth; 0 for background
    quality: Tensor  # (B, A) float32 in [0, 1], the target of the score of the object's class; 0 for background


@torch.no_grad()
def task_aligned(
    scores: Tensor, boxes: Tensor, points: Tensor, truth: Truth, candidates: int, alpha: float, beta: float
) -> Assignment:
    """Assign by how well a point both classifies and places an object (Feng et al. 2021, TOOD, section 3.2).

    The alignment of a point with an object is t = s ** alpha * u ** beta (equation 4): s is the score that the point gives the
    object's class, u the IoU of its box with the object's. For each object the `candidates` points of largest t are positive;
    a point that is positive for several objects goes to the object that it overlaps most. The quality of a positive point is
    its t, scaled so that the largest quality of an object equals the object's largest u (section 3.2.2).

    Only points inside the object's box can be positive and, in addition to the paper, points whose own cell holds the box's
    centre: otherwise a box that is smaller than a cell would have no point at all.

    scores: (B, A, K) float, probabilities. boxes: (B, A, 4) float xyxy in pixels. points: (A, 3) float32 as `grid_points`
    returns them.
    """
    overlap = pairwise_iou(truth.boxes, boxes)  # (B, G, A)
    score = scores.transpose(1, 2).gather(1, truth.labels[:, :, None].expand_as(overlap))
    alignment = score.pow(alpha) * overlap.pow(beta)
    allowed = eligible(points, truth)
    alignment = alignment.where(allowed, -1.0)
    chosen = torch.zeros_like(allowed)
    chosen.scatter_(2, alignment.topk(min(candidates, alignment.shape[2]), dim=2).indices, True)
    chosen &= allowed
    best = overlap.where(chosen, -1.0).argmax(1)  # (B, A): of the objects that chose the point, the one it overlaps most
    chosen &= torch.zeros_like(chosen).scatter_(1, best[:, None], True)
    alignment, overlap = alignment.where(chosen, 0.0), overlap.where(chosen, 0.0)
    scale = overlap.amax(2, keepdim=True) / alignment.amax(2, keepdim=True).clamp_min(1e-30)
    return Assignment(best, (alignment * scale).amax(1))


def eligible(points: Tensor, truth: Truth) -> Tensor:
    """Return whether a point is inside an object's box, or the point's cell holds the box's centre: (B, G, A) bool.

    points: (A, 3) float32 as `grid_points` returns them.
    """
    distances = boxes_to_distances(points, truth.boxes[:, :, None])  # (B, G, A, 4)
    inside = distances.amin(-1) > 0
    offset = (distances[..., :2] - distances[..., 2:]).abs() / 2  # distance of the point from the box's centre, in strides
    return (inside | (offset.amax(-1) <= 0.5)) & truth.real[:, :, None]


@torch.no_grad()
def centre_sampled(points: Tensor, levels: list[int], truth: Truth, radius: float) -> tuple[Tensor, Tensor]:
    """Assign by place and size; return the object's place, (B, A) int64, and whether a point is positive, (B, A) bool.

    Tian et al. 2020, FCOS, sections 3.1 and 3.3. A point is positive for an object if it is inside its box, less than `radius`
    strides from its centre in x and in y, and the farthest side of the box is between 4 and 8 strides away; the first level
    also takes all nearer sides, the last level all farther sides. Of several objects the smallest gets the point.

    points: (A, 3) float32. levels: number of points of each level, in the order of `points`.
    """
    distances = boxes_to_distances(points, truth.boxes[:, :, None])  # (B, G, A, 4)
    offset = (distances[..., :2] - distances[..., 2:]).abs() / 2
    farthest = distances.amax(-1)
    nearest, limit = torch.full_like(points[:, 2], 4.0), torch.full_like(points[:, 2], 8.0)
    nearest[: levels[0]], limit[len(limit) - levels[-1] :] = 0.0, float("inf")
    fits = (distances.amin(-1) > 0) & (offset.amax(-1) < radius) & (farthest > nearest) & (farthest < limit)
    fits &= truth.real[:, :, None]
    area = (truth.boxes[..., 2:] - truth.boxes[..., :2]).prod(-1)
    place = area[:, :, None].where(fits, float("inf")).argmin(1)
    return place, fits.any(1)
