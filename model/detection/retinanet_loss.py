"""The loss of RetinaNet."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from base.base_loss import LOSSES, BaseLoss
from base.contracts import Outputs, OutputSpec, Target, Term
from base.types import Share
from model.detection.aligned_loss import require_outputs
from model.detection.fcos_loss import FocalAlpha, FocalGamma
from model.detection.retinanet import box_coder
from model.terms import TermWeight

BACKGROUND, BETWEEN = -1, -2  # torchvision's Matcher.BELOW_LOW_THRESHOLD and BETWEEN_THRESHOLDS


@LOSSES.register("detection")
class RetinaNetLoss(BaseLoss):
    """The loss of RetinaNetDetector (Lin et al. 2017): focal loss, and the absolute error of the offsets, as torchvision has it.

    An anchor is positive for the object it overlaps most if their IoU is `foreground` or more, or if no anchor overlaps
    the object more; it is background below `background`, and does not count in between (section 4). Both terms are divided
    by the number of positive anchors; for the focal loss a picture counts at least 1.
    """

    def __init__(
        self,
        model: OutputSpec,
        foreground: Annotated[Share, Field(description="least IoU with an object at which an anchor is positive")] = 0.5,
        background: Annotated[Share, Field(description="IoU with every object below which an anchor is background")] = 0.4,
        alpha: FocalAlpha = 0.25,
        gamma: FocalGamma = 2.0,
        classification: TermWeight = 1.0,
        box: TermWeight = 1.0,
    ) -> None:
        super().__init__()
        require_outputs(self, model, "offsets", "RetinaNetDetector")
        self.foreground, self.background = foreground, background
        self.alpha, self.gamma = alpha, gamma
        self.classification, self.box = classification, box

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return the terms `classification`, `box`.

        outputs: as RetinaNetDetector returns them. target: `boxes`, B tensors (n_i, 4) float32 xyxy in pixels; `labels`, B
        tensors (n_i,) int64.
        """
        from torchvision.ops import sigmoid_focal_loss

        logits, anchors = outputs["logits"], outputs["anchors"]
        pairs = list(zip(target["boxes"], target["labels"], strict=True))
        matches = torch.stack([self._match(boxes, anchors) for boxes, _ in pairs])  # (B, A)
        positive, counted = matches >= 0, matches != BETWEEN
        wanted = torch.zeros_like(logits)
        objects = torch.zeros_like(outputs["offsets"])
        for row, (boxes, labels) in enumerate(pairs):
            if len(boxes):
                place = matches[row].clamp_min(0)
                wanted[row] = F.one_hot(labels[place], logits.shape[2]) * positive[row, :, None]
                objects[row] = box_coder().encode_single(boxes[place], anchors)
        focal = sigmoid_focal_loss(logits, wanted, self.alpha, self.gamma, reduction="none") * counted[..., None]
        errors = (outputs["offsets"] - objects).abs().sum(-1).where(positive, 0.0)
        counts = positive.float().sum(1)
        return {
            "classification": Term(self.classification * focal.sum(), counts.clamp_min(1).sum()),
            "box": Term(self.box * errors.sum(), counts.sum()),
        }

    def _match(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Return the object of each anchor, (A,) int64: BACKGROUND for no object, BETWEEN for anchors that do not count."""
        from torchvision.models.detection._utils import Matcher
        from torchvision.ops import box_iou

        if not len(boxes):
            return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
        matcher = Matcher(self.foreground, self.background, allow_low_quality_matches=True)
        matched: Tensor = matcher(box_iou(boxes, anchors))
        return matched
