"""Which point of a feature map answers for which object: pure functions without gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.detection.boxes import Truth, boxes_to_distances, pairwise_iou


class Assignment(NamedTuple):
    """The object of every point."""

    place: Tensor  # (B, A) int64, place of the object in the truth; 0 for background
    quality: Tensor  # (B, A) float32 in [0, 1], what the score of the object's class should be; 0 for background


@torch.no_grad()
def task_aligned(
    scores: Tensor, boxes: Tensor, points: Tensor, truth: Truth, candidates: int, alpha: float, beta: float
) -> Assignment:
    """Assign by how well a point both names and places an object (Feng et al. 2021, TOOD, section 3.2).

    The alignment of a point with an object is t = s ** alpha * u ** beta (equation 4): s is the score that the point gives
    the object's class, u the IoU of its box with the object's. For each object the `candidates` points of largest t are
    positive; a point that several objects want goes to the one it overlaps most. A positive point's quality is its
    t, scaled so that the largest of its object equals the object's largest u (section 3.2.2).

    Only points inside the object's box can be chosen, and, beyond the paper, those whose own cell holds the box's centre:
    without them a box that is smaller than a cell would have no point at all.

    scores: (B, A, K) probabilities. boxes: (B, A, 4) pixels. points: (A, 3) as `grid_points` gives them.
    """
    overlap = pairwise_iou(truth.boxes, boxes)  # (B, G, A)
    score = scores.transpose(1, 2).gather(1, truth.labels[:, :, None].expand_as(overlap))
    alignment = score.pow(alpha) * overlap.pow(beta)
    allowed = eligible(points, truth)
    alignment = alignment.where(allowed, -1.0)
    chosen = torch.zeros_like(allowed)
    chosen.scatter_(2, alignment.topk(min(candidates, alignment.shape[2]), dim=2).indices, True)
    chosen &= allowed
    best = overlap.where(chosen, -1.0).argmax(1)  # (B, A): of those that want the point, the object it overlaps most
    chosen &= torch.zeros_like(chosen).scatter_(1, best[:, None], True)
    alignment, overlap = alignment.where(chosen, 0.0), overlap.where(chosen, 0.0)
    scale = overlap.amax(2, keepdim=True) / alignment.amax(2, keepdim=True).clamp_min(1e-30)
    return Assignment(best, (alignment * scale).amax(1))


def eligible(points: Tensor, truth: Truth) -> Tensor:
    """Whether a point is inside an object's box, or its cell holds the centre of it: (B, G, A) bool."""
    distances = boxes_to_distances(points, truth.boxes[:, :, None])  # (B, G, A, 4)
    inside = distances.amin(-1) > 0
    offset = (distances[..., :2] - distances[..., 2:]).abs() / 2  # of the point from the box's centre, in strides
    return (inside | (offset.amax(-1) <= 0.5)) & truth.real[:, :, None]


@torch.no_grad()
def centre_sampled(points: Tensor, levels: list[int], truth: Truth, radius: float) -> tuple[Tensor, Tensor]:
    """Assign by place and size (Tian et al. 2020, FCOS, sections 3.1 and 3.3): object place (B, A) int64, positive (B, A) bool.

    A point is positive for an object if it is inside its box, less than `radius` strides from its centre in x and in y, and
    the farthest side of the box is between 4 and 8 strides away; the first level takes all that are nearer, the last one
    all that are farther. Of several objects the smallest has it.

    levels: number of points of each level, in the order of `points` (A, 3).
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
