"""FCOS with the heads of torchvision, over any backbone of timm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from base.base_model import MODELS
from base.contracts import DataSpec, Outputs, OutputSpec, Target
from base.types import CountOrZero
from model.detection.boxes import BoxFilter, Kept, distances_to_boxes
from model.detection.point_detector import Detector
from model.detection.pyramid import Pyramid

GROUPS = 32  # groups of the group norm in torchvision's head


@MODELS.register("detection")
class FcosDetector(Detector):
    """Class scores, distances to the sides of a box and centre-ness for every point (Tian et al. 2020), for FcosLoss."""

    def __init__(
        self,
        spec: DataSpec,
        pyramid: Annotated[
            Pyramid, Field(description="backbone and feature pyramid; the paper has levels [3, 4, 5, 6, 7] of width 256")
        ],
        depth: Annotated[CountOrZero, Field(description="number of 3x3 convolutions of each of the head's two branches")] = 4,
        keep: Kept = BoxFilter(),  # noqa: B008 - settings are frozen
    ) -> None:
        super().__init__(spec, pyramid, keep)
        from torchvision.models.detection.fcos import FCOSHead

        self.dense = FCOSHead(pyramid.width, 1, self.classes, depth)

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return `logits` (B, A, K), `distances` (B, A, 4) in strides, `centreness` (B, A) logits, `points` (A, 3), all float32.

        `counts`: number of points of each level, A in total. `size`: height and width of the pictures in pixels. image: (B, 3,
        H, W), uint8 or float in 0..255.
        """
        maps = self.pyramid(self.normalise(image))
        outputs = self.dense(maps)
        return {
            "logits": outputs["cls_logits"].float(),
            "distances": outputs["bbox_regression"].float(),
            "centreness": outputs["bbox_ctrness"][..., 0].float(),
            "points": self._points(maps),
            "counts": [one.shape[2] * one.shape[3] for one in maps],
            "size": (image.shape[2], image.shape[3]),
        }

    def raw_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return boxes, and the root of class probability times centre-ness (Tian et al. 2020, section 3.4)."""
        scores = (outputs["logits"].sigmoid() * outputs["centreness"].sigmoid()[..., None]).sqrt()
        return distances_to_boxes(outputs["points"], outputs["distances"]), scores

    @property
    def output_spec(self) -> OutputSpec:
        """The outputs that distinguish this detector from others."""
        return OutputSpec({"logits": self.classes, "distances": 4, "centreness": 1})

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for an unknown backbone, and for a width that the head's group norm cannot divide."""
        yield from super().check(args, spec)
        if args.depth and args.pyramid.width % GROUPS:
            yield (
                "pyramid.width",
                f"found {args.pyramid.width}; allowed: multiples of {GROUPS}, the groups of the head's norm",
            )
