"""The loss of FCOS."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from base.base_loss import LOSSES, BaseLoss
from base.contracts import Outputs, OutputSpec, Target, Term
from base.types import NotNegative, Share
from model.detection.aligned_loss import box_loss, require_outputs
from model.detection.assignment import centre_sampled
from model.detection.boxes import boxes_to_distances, distances_to_boxes, pad_truth


@LOSSES.register("detection")
class FcosLoss(BaseLoss):
    """The loss of FcosDetector (Tian et al. 2020, equation 2): focal loss, 1 - GIoU, and cross-entropy of the centre-ness.

    All are divided by the number of positive points; for the focal loss a picture counts at least 1.

    Args:
        radius: a positive point is nearer to its object's centre than this, in strides, in x and in y
        alpha: weight of positive scores in the focal loss (Lin et al. 2017, equation 5)
        gamma: its exponent
        classification: weight of the term
        box: weight of the term
        centreness: weight of the term
    """

    def __init__(
        self,
        model: OutputSpec,
        radius: NotNegative = 1.5,
        alpha: Share = 0.25,
        gamma: NotNegative = 2.0,
        classification: NotNegative = 1.0,
        box: NotNegative = 1.0,
        centreness: NotNegative = 1.0,
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
