"""Boxes as tensors: corners (x1, y1, x2, y2) in pixels, and their conversions between a network and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from base.contracts import Prediction, Target
from base.types import Count, Share
from utils.validate import Settings


class BoxFilter(Settings):
    """The rules by which a network's many boxes become predictions."""

    score: Share = Field(default=0.01, description="boxes with less confidence are dropped")
    candidates: Count = Field(default=1000, description="largest number of a picture's boxes that enter non-maximum suppression")
    iou: Share = Field(default=0.6, description="of two boxes of a class that overlap by more, the surer one stays")
    across_classes: bool = Field(default=False, description="boxes of different classes suppress each other too")
    detections: Count = Field(default=100, description="largest number of boxes of a picture")


Kept = Annotated[BoxFilter, Field(description="which boxes become predictions")]


class Truth(NamedTuple):
    """The objects of a batch; every picture has G places, as many as the picture with the most objects."""

    boxes: Tensor  # (B, G, 4) float32 pixels, 0 in empty places
    labels: Tensor  # (B, G) int64, 0 in empty places
    real: Tensor  # (B, G) bool, True if the place holds an object


def pad_truth(target: Target) -> Truth:
    """Return the ragged lists of a target as dense tensors, G >= 1; the shapes are known without waiting for the device.

    target: `boxes`, B tensors (n_i, 4) float32; `labels`, B tensors (n_i,) int64.
    """
    boxes: Sequence[Tensor] = target["boxes"]
    labels: Sequence[Tensor] = target["labels"]
    places = max(1, *map(len, boxes), 1)
    padded = torch.stack([F.pad(one.reshape(-1, 4), (0, 0, 0, places - len(one))) for one in boxes])
    names = torch.stack([F.pad(one, (0, places - len(one))) for one in labels])
    counts = torch.tensor([len(one) for one in boxes]).to(padded.device, non_blocking=True)
    return Truth(padded, names, torch.arange(places, device=padded.device) < counts[:, None])


def grid_points(sizes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device) -> Tensor:
    """Return centres of the cells of feature maps, with the cells' width: (A, 3) float32 x, y, stride, all in pixels.

    sizes: height and width of each map. The order is the order of the maps, each row by row.
    """
    points = []
    for (height, width), stride in zip(sizes, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        centres = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * stride
        points.append(F.pad(centres, (0, 1), value=float(stride)))
    return torch.cat(points)


def distances_to_boxes(points: Tensor, distances: Tensor) -> Tensor:
    """Return boxes (…, A, 4) in pixels from distances (…, A, 4), in strides, of points (A, 3) to left, top, right, bottom.

    l, t, r, b of Tian et al. 2019 (FCOS), equation 1, divided by the stride of the point's level.
    """
    centre, stride = points[:, :2], points[:, 2:]
    return torch.cat([centre - distances[..., :2] * stride, centre + distances[..., 2:] * stride], dim=-1)


def boxes_to_distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Return the inverse of `distances_to_boxes`, (…, A, 4) in strides; negative if a point is outside the box.

    points: (A, 3) float32. boxes: (…, A, 4) float xyxy in pixels.
    """
    centre, stride = points[:, :2], points[:, 2:]
    return torch.cat([centre - boxes[..., :2], boxes[..., 2:] - centre], dim=-1) / stride


def pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return intersection over union of every box with every other, (B, G, 4), (B, A, 4) -> (B, G, A); 0 if both are empty."""
    corner = torch.maximum(one[:, :, None, :2], other[:, None, :, :2])
    opposite = torch.minimum(one[:, :, None, 2:], other[:, None, :, 2:])
    common = (opposite - corner).clamp_min(0).prod(-1)
    union = _area(one)[:, :, None] + _area(other)[:, None, :] - common
    return common / union.clamp_min(1e-9)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes (…, 4) cut at the borders of a picture. size: its height and width in pixels."""
    height, width = size
    return boxes.clamp_min(0).minimum(boxes.new_tensor([width, height, width, height]))


def suppress(boxes: Tensor, scores: Tensor, keep: BoxFilter) -> Prediction:
    """Return the predictions from a network's boxes (B, A, 4) with class scores (B, A, K), after non-maximum suppression.

    `boxes`, `scores` and `labels` are B tensors each: (n, 4) float32, (n,) float32 and (n,) int64, surest first. A box may be
    predicted for several classes.
    """
    pictures = [_of_picture(*pair, keep) for pair in zip(boxes, scores, strict=True)]
    columns = [list(column) for column in zip(*pictures, strict=True)]
    return dict(zip(("boxes", "scores", "labels"), columns or ([], [], []), strict=True))


def _of_picture(boxes: Tensor, scores: Tensor, keep: BoxFilter) -> tuple[Tensor, Tensor, Tensor]:
    from torchvision.ops import batched_nms

    flat = scores.flatten()
    best, place = flat.topk(min(keep.candidates, len(flat)))
    sure = best > keep.score
    best, place = best[sure], place[sure]
    chosen, labels = boxes[place // scores.shape[1]], place % scores.shape[1]
    groups = torch.zeros_like(labels) if keep.across_classes else labels
    kept = batched_nms(chosen, best, groups, keep.iou)[: keep.detections]
    return chosen[kept], best[kept], labels[kept]


def move_boxes(boxes: Tensor, affine: Tensor) -> Tensor:
    """Return the smallest upright boxes (n, 4) around boxes (n, 4) after an affine map (2, 3)."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ affine[:, :2].T + affine[:, 2]
    return torch.cat([moved.amin(1), moved.amax(1)], dim=1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)
