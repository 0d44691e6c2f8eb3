"""The loss of FCOS."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from base.base_loss import LOSSES, BaseLoss
from base.contracts import Outputs, OutputSpec, Target, Term
from base.types import NotNegative, Share
from model.detection.aligned_loss import box_loss, require_outputs
from model.detection.assignment import centre_sampled
from model.detection.boxes import boxes_to_distances, distances_to_boxes, pad_truth
from model.terms import TermWeight

FocalAlpha = Annotated[Share, Field(description="weight of positive scores in the focal loss (Lin et al. 2017, equation 5)")]
FocalGamma = Annotated[NotNegative, Field(description="exponent of the focal loss: how much less a sure score counts")]


@LOSSES.register("detection")
class FcosLoss(BaseLoss):
    """The loss of FcosDetector (Tian et al. 2020, equation 2): focal loss, 1 - GIoU, and cross-entropy of the centre-ness.

    All are divided by the number of positive points; for the focal loss a picture counts at least 1.
    """

    def __init__(
        self,
        model: OutputSpec,
        radius: Annotated[
            NotNegative,
            Field(description="distance from an object's centre below which a point is positive, in strides, in x and in y"),
        ] = 1.5,
        alpha: FocalAlpha = 0.25,
        gamma: FocalGamma = 2.0,
        classification: TermWeight = 1.0,
        box: TermWeight = 1.0,
        centreness: TermWeight = 1.0,
    ) -> None:
        super().__init__()
        require_outputs(self, model, "centreness", "FcosDetector")
        self.radius, self.alpha, self.gamma = radius, alpha, gamma
        self.classification, self.box, self.centreness = classification, box, centreness

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return the terms `classification`, `box`, `centreness`.

        outputs: as FcosDetector returns them. target: `boxes`, B tensors (n_i, 4) float32 xyxy in pixels; `labels`, B tensors
        (n_i,) int64.
        """
        from torchvision.ops import sigmoid_focal_loss

        truth, points, logits = pad_truth(target), outputs["points"], outputs["logits"]
        place, positive = centre_sampled(points, outputs["counts"], truth, self.radius)
        objects = truth.boxes.gather(1, place[..., None].expand(-1, -1, 4))
        wanted = F.one_hot(truth.labels.gather(1, place), logits.shape[2]) * positive[..., None].float()
        focal = sigmoid_focal_loss(logits, wanted, self.alpha, self.gamma, reduction="sum")
        boxes = distances_to_boxes(points, outputs["distances"])
        centre = centreness(boxes_to_distances(points, objects).where(positive[..., None], 1.0))
        entropy = F.binary_cross_entropy_with_logits(outputs["centreness"], centre, reduction="none")
        counts = positive.float().sum(1)
        return {
            "classification": Term(self.classification * focal, counts.clamp_min(1).sum()),
            "box": Term(self.box * box_loss(boxes, objects, positive.float()), counts.sum()),
            "centreness": Term(self.centreness * entropy.where(positive, 0.0).sum(), counts.sum()),
        }


def centreness(distances: Tensor) -> Tensor:
    """Return the centre-ness, (…): 1 at a box's centre, 0 at its border (Tian et al. 2020, equation 3).

    distances: (…, 4) float l, t, r, b above 0.
    """
    sides = torch.minimum(distances[..., :2], distances[..., 2:]) / torch.maximum(distances[..., :2], distances[..., 2:])
    return sides.prod(-1).sqrt()
