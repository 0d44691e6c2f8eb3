"""The loss of PointDetector, and functions that the losses of several detectors use.

Each term is a sum over points, and the number of objects or foreground points by which the sum is divided.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from base.base_loss import LOSSES, BaseLoss
from base.contracts import Outputs, OutputSpec, Target, Term
from base.types import Count, NotNegative
from model.detection.assignment import Assignment, task_aligned
from model.detection.boxes import Truth, boxes_to_distances, distances_to_boxes, pad_truth
from model.detection.point_detector import mean_distances
from model.terms import TermWeight
from utils.errors import UserError


@LOSSES.register("detection")
class AlignedLoss(BaseLoss):
    """The loss of PointDetector: a point is assigned to the object that it classifies and places best, and learns this quality.

    `classification` is the varifocal loss (Zhang et al. 2021, equation 2): q BCE(p, q) for the class of a positive point,
    whose target q is the quality that the assignment gives it, and focus * p ** gamma * BCE(p, 0) for all other scores.
    `box` is 1 - GIoU (Rezatofighi et al. 2019) and `distribution` the distribution focal loss (Li et al. 2020, equation 6),
    both weighted with the quality. All are divided by the sum of the qualities, as in PP-YOLOE (Xu et al. 2022); for
    `classification` a picture counts at least 1, so that the model also learns from pictures without objects.
    """

    def __init__(
        self,
        model: OutputSpec,
        candidates: Annotated[Count, Field(description="largest number of points of an object")] = 13,
        alpha: Annotated[
            NotNegative, Field(description="exponent of the score in the alignment of a point with an object")
        ] = 1.0,
        beta: Annotated[NotNegative, Field(description="exponent of the IoU in the alignment of a point with an object")] = 6.0,
        focus: Annotated[NotNegative, Field(description="weight of the scores that should be 0")] = 0.75,
        gamma: Annotated[NotNegative, Field(description="exponent of a score that should be 0, in its weight")] = 2.0,
        classification: TermWeight = 1.0,
        box: TermWeight = 2.5,
        distribution: TermWeight = 0.5,
    ) -> None:
        super().__init__()
        require_outputs(self, model, "bins", "PointDetector")
        self.candidates, self.alpha, self.beta = candidates, alpha, beta
        self.focus, self.gamma = focus, gamma
        self.classification, self.box, self.distribution = classification, box, distribution

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return the terms `classification`, `box`, `distribution`.

        outputs: as PointDetector returns them. target: `boxes`, B tensors (n_i, 4) float32 xyxy in pixels; `labels`, B tensors
        (n_i,) int64.
        """
        truth, points = pad_truth(target), outputs["points"]
        boxes = distances_to_boxes(points, mean_distances(outputs["bins"]))
        scores = outputs["logits"].detach().sigmoid()
        assigned = task_aligned(scores, boxes.detach(), points, truth, self.candidates, self.alpha, self.beta)
        objects = truth.boxes.gather(1, assigned.place[..., None].expand(-1, -1, 4))  # (B, A, 4)
        weight = assigned.quality.sum()
        return {
            "classification": self._classification(outputs["logits"], assigned, truth),
            "box": Term(self.box * box_loss(boxes, objects, assigned.quality), weight),
            "distribution": Term(self.distribution * self._distribution(outputs, objects, assigned.quality), weight),
        }

    def _classification(self, logits: Tensor, assigned: Assignment, truth: Truth) -> Term:
        labels = truth.labels.gather(1, assigned.place)
        wanted = F.one_hot(labels, logits.shape[2]) * assigned.quality[..., None]  # (B, A, K)
        weights = torch.where(wanted > 0, wanted, self.focus * logits.detach().sigmoid().pow(self.gamma))
        values = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return Term(self.classification * (weights * values).sum(), assigned.quality.sum(1).clamp_min(1).sum())

    def _distribution(self, outputs: Outputs, objects: Tensor, quality: Tensor) -> Tensor:
        distances = boxes_to_distances(outputs["points"], objects)
        return (distribution_focal(outputs["bins"], distances) * quality[..., None]).sum() / 4


def require_outputs(loss: BaseLoss, model: OutputSpec, output: str, detector: str) -> None:
    """Raise UserError if the model's outputs are not those of the detector that the loss belongs to."""
    if output not in model.widths:
        outputs = ", ".join(model.widths) or "none of a detector"
        raise UserError(f"loss.type: {type(loss).__name__} is the loss of {detector}; the model's outputs are {outputs}")


def box_loss(boxes: Tensor, objects: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of weight * (1 - GIoU), a scalar () (Rezatofighi et al. 2019).

    boxes, objects: (B, A, 4) float xyxy in pixels. weights: (B, A) float, 0 if a point does not count.
    """
    from torchvision.ops import generalized_box_iou_loss

    counts = (weights > 0)[..., None]
    # Points that do not count compare a unit box with itself: the loss and its gradient are 0, and finite.
    unit = boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    values = generalized_box_iou_loss(boxes.where(counts, unit), objects.where(counts, unit))
    summed: Tensor = (values * weights).sum()
    return summed


def distribution_focal(bins: Tensor, distances: Tensor) -> Tensor:
    """Return the cross-entropy with the two bins beside each distance, (…, 4) (Li et al. 2020, equation 6).

    The paper is Generalized Focal Loss. bins: (…, 4, n) float, logits. distances: (…, 4) float in strides, cut to 0..n - 1.
    """
    last = bins.shape[-1] - 1
    distances = distances.clamp(0, last - 1e-3)
    below = distances.floor()
    share = distances - below  # of the bin above
    logs = bins.log_softmax(-1)
    index = below.long()[..., None]
    low, high = logs.gather(-1, index)[..., 0], logs.gather(-1, index + 1)[..., 0]
    return -(1 - share) * low - share * high
