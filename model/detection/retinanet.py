"""RetinaNet with the heads and anchors of torchvision, over any backbone of timm."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from base.base_model import MODELS
from base.contracts import DataSpec, Outputs, OutputSpec, Target
from base.types import Positive
from model.detection.boxes import BoxFilter, Kept
from model.detection.point_detector import Detector
from model.detection.pyramid import Pyramid

OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # sizes of a level's anchors as factors of the smallest (Lin et al. 2017, section 4)


@MODELS.register("detection")
class RetinaNetDetector(Detector):
    """Class scores and offsets for nine anchors at every point (Lin et al. 2017), for RetinaNetLoss."""

    def __init__(
        self,
        spec: DataSpec,
        pyramid: Annotated[
            Pyramid, Field(description="backbone and feature pyramid; the paper has levels [3, 4, 5, 6, 7] of width 256")
        ],
        anchor_size: Annotated[Positive, Field(description="side of a level's smallest square anchor, in strides")] = 4.0,
        ratios: Annotated[list[Positive], Field(min_length=1, description="height / width of the anchors")] = [0.5, 1.0, 2.0],  # noqa: B006
        keep: Kept = BoxFilter(),  # noqa: B008 - settings are frozen
    ) -> None:
        super().__init__(spec, pyramid, keep)
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.retinanet import RetinaNetHead

        sizes = tuple(tuple(anchor_size * stride * octave for octave in OCTAVE) for stride in self.strides)
        self.anchors = AnchorGenerator(sizes, (tuple(ratios),) * len(sizes))
        self.dense = RetinaNetHead(pyramid.width, len(OCTAVE) * len(ratios), self.classes)

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return `logits` (B, A, K), `offsets` (B, A, 4) of torchvision's box coder, `anchors` (A, 4) in pixels, and `size`.

        image: (B, 3, H, W), uint8 or float in 0..255. A is the number of anchors at the cells of all levels.
        """
        maps = self.pyramid(self.normalise(image))
        outputs = self.dense(maps)
        return {
            "logits": outputs["cls_logits"].float(),
            "offsets": outputs["bbox_regression"].float(),
            "anchors": self._anchors(maps),
            "size": (image.shape[2], image.shape[3]),
        }

    def raw_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return the anchors moved by their offsets, and the probabilities of the classes."""
        offsets, anchors = outputs["offsets"], outputs["anchors"]
        boxes = box_coder().decode_single(offsets.flatten(0, 1), anchors.repeat(offsets.shape[0], 1))
        return boxes.view_as(offsets), outputs["logits"].sigmoid()

    @property
    def output_spec(self) -> OutputSpec:
        """The outputs that distinguish this detector from others."""
        return OutputSpec({"logits": self.classes, "offsets": 4})

    def _anchors(self, maps: list[Tensor]) -> Tensor:
        device = maps[0].device
        self.anchors.set_cell_anchors(torch.float32, device)
        steps = [[torch.tensor(stride, device=device)] * 2 for stride in self.strides]
        boxes: Tensor = torch.cat(self.anchors.grid_anchors([list(one.shape[2:]) for one in maps], steps))
        return boxes


def box_coder() -> Any:
    """Return the coder of boxes as offsets of centre and logarithm of size from an anchor (Ren et al. 2015, equation 2).

    The offsets are not scaled.
    """
    from torchvision.models.detection._utils import BoxCoder

    return BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
