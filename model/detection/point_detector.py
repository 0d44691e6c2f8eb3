"""Detectors: a feature pyramid, a head over each of its levels, and boxes from the outputs of the heads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from base.base_model import MODELS, BaseModel
from base.contracts import DataSpec, Outputs, OutputSpec, Prediction, Target
from base.detection.objects import OBJECT
from base.types import CountOrZero
from model.detection.boxes import BoxFilter, Kept, clipped, distances_to_boxes, grid_points, move_boxes, suppress
from model.detection.heads import DistanceHead
from model.detection.pyramid import FeaturePyramid, Pyramid, pyramid_problems


class Detector(BaseModel):
    """Base class of all detectors. A subclass returns outputs for its loss, and makes boxes and scores from the outputs.

    Besides the tensors for the loss, the outputs hold `size`, the height and width of the pictures in pixels.
    """

    dense: nn.Module  # the head, applied to every level of the pyramid

    def __init__(self, spec: DataSpec, pyramid: Pyramid, keep: BoxFilter, norm_layer: Any = None) -> None:
        import timm

        config: Any = timm.get_pretrained_cfg(pyramid.backbone)
        super().__init__(mean=tuple(config.mean), std=tuple(config.std))
        self.classes = len(spec.classes[OBJECT])
        self.strides = pyramid.strides
        self.keep = keep
        self.pyramid = FeaturePyramid(pyramid, norm_layer)

    @abstractmethod
    def raw_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return every box (B, A, 4) xyxy in pixels of the input, and its score for each class (B, A, K) in [0, 1]; float32."""

    def decode(self, outputs: Outputs) -> Prediction:
        """Return `boxes`, `scores`, `labels`: B tensors each, surest box first.

        A picture has boxes (n, 4) float32 xyxy in pixels of the input, scores (n,) float32 and labels (n,) int64.
        """
        raw = outputs if "scores" in outputs else self.undecoded(outputs)
        return suppress(raw["boxes"], raw["scores"], self.keep)

    def undecoded(self, outputs: Outputs) -> Outputs:
        """Return `boxes` (B, A, 4) xyxy in pixels, cut at the picture, and `scores` (B, A, K), before suppression; float32."""
        boxes, scores = self.raw_boxes(outputs)
        return {"boxes": clipped(boxes, outputs["size"]), "scores": scores}

    def move(self, prediction: Prediction, affine: Tensor) -> Prediction:
        """Return the prediction with its boxes moved by `affine` (B, 2, 3); a turned box becomes the upright box around it."""
        moved = [move_boxes(boxes, one.to(boxes)) for boxes, one in zip(prediction["boxes"], affine, strict=True)]
        return {**prediction, "boxes": moved}

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Return (key, message) for an unknown backbone."""
        return pyramid_problems(args.pyramid)

    def head(self) -> list[nn.Module]:
        """Return all modules except the backbone."""
        return [self.pyramid.merge, self.dense]

    def _points(self, maps: list[Tensor]) -> Tensor:
        return grid_points([(one.shape[2], one.shape[3]) for one in maps], self.strides, maps[0].device)


@MODELS.register("detection")
class PointDetector(Detector):
    """A detector whose every point gives class scores and the distances to the four sides of a box, for AlignedLoss.

    The head has a branch for classes and one for distances (Tian et al. 2019, FCOS; Ge et al. 2021, YOLOX, section 2.1),
    whose convolutions all levels share, each with batch norm of its own (Lyu et al. 2022, RTMDet, section 3.2). A distance
    is the mean of a distribution over 0, 1, … `bins` - 1 strides (Li et al. 2020, Generalized Focal Loss, section 3.2).
    """

    def __init__(
        self,
        spec: DataSpec,
        pyramid: Annotated[Pyramid, Field(description="backbone and feature pyramid")],
        depth: Annotated[CountOrZero, Field(description="number of 3x3 convolutions of each of the head's branches")] = 2,
        bins: Annotated[
            int,
            Field(
                ge=2,
                description="number of values in the distribution of a distance: a box reaches at most `bins` - 1 "
                "strides from a point",
            ),
        ] = 16,
        keep: Kept = BoxFilter(),  # noqa: B008 - settings are frozen
    ) -> None:
        super().__init__(spec, pyramid, keep, norm_layer=nn.BatchNorm2d)
        self.dense = DistanceHead(pyramid.width, self.classes, len(pyramid.levels), depth, bins)
        self.bins = bins

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return `logits` (B, A, K), `bins` (B, A, 4, bins) logits of the distances, `points` (A, 3), all float32, and `size`.

        image: (B, 3, H, W), uint8 or float in 0..255. A is the number of cells of all levels.
        """
        maps = self.pyramid(self.normalise(image))
        logits, bins = self.dense(maps)
        size = (image.shape[2], image.shape[3])
        return {"logits": logits.float(), "bins": bins.float(), "points": self._points(maps), "size": size}

    def raw_boxes(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return the boxes at the mean distances, and the probabilities of the classes."""
        return distances_to_boxes(outputs["points"], mean_distances(outputs["bins"])), outputs["logits"].sigmoid()

    @property
    def output_spec(self) -> OutputSpec:
        """The outputs that distinguish this detector from others."""
        return OutputSpec({"logits": self.classes, "bins": self.bins})


def mean_distances(bins: Tensor) -> Tensor:
    """Return the mean of the distribution over 0, 1, …, in strides: (…, 4, bins) logits -> (…, 4). Li et al. 2020, equation 5."""
    steps = torch.arange(bins.shape[-1], device=bins.device, dtype=bins.dtype)
    return bins.softmax(-1) @ steps
