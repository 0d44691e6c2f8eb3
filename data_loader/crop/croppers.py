"""Croppers: they find the important part of a picture. Several croppers are asked in a declared order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from base.registry import Registry
from data_loader.pictures.decode import Box, Size, resize
from data_loader.pictures.letterbox import fitted

Outcome = Literal["one", "several", "too small", "none"]
OUTCOMES: tuple[Outcome, ...] = ("one", "several", "too small", "none")


class CropperBoxes(NamedTuple):
    """The boxes that a cropper found in a picture."""

    boxes: np.ndarray  # (n, 4) float, xyxy in absolute pixels of the picture; may reach beyond its border
    confidences: np.ndarray  # (n,) float in [0, 1]


class BaseCropper(ABC):
    """Base class of croppers.

    A model is loaded at the first picture, not by the constructor; several threads may call at once.
    """

    @abstractmethod
    def find(self, image: np.ndarray) -> CropperBoxes:
        """Return the boxes in a picture. image: (H, W, 3) uint8 RGB. Raises UserError if the model cannot be used."""


CROPPERS: Registry[BaseCropper] = Registry("cropper", BaseCropper)


class Look(NamedTuple):
    """The result of several croppers for a picture."""

    box: Box | None  # None if no cropper found a box
    found_by: str  # the cropper's name
    confidence: float
    outcomes: list[tuple[str, Outcome]]  # name and outcome of each cropper that was asked


def look(image: np.ndarray, croppers: Sequence[BaseCropper], min_size: int) -> Look:
    """Return the surest box of the first cropper that finds a box with both sides of at least `min_size` pixels.

    image: (H, W, 3) uint8 RGB.
    """
    outcomes: list[tuple[str, Outcome]] = []
    for name, cropper in zip(names(croppers), croppers, strict=True):
        boxes, confidences = cropper.find(image)
        height, width = image.shape[:2]
        inside = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0, [width, height, width, height]).round().astype(int)
        large = np.flatnonzero((inside[:, 2:] - inside[:, :2]).min(axis=1, initial=max(height, width)) >= min_size)
        outcome: Outcome = ("one" if len(large) == 1 else "several") if len(large) else ("too small" if len(inside) else "none")
        outcomes.append((name, outcome))
        if len(large):
            best = large[np.argmax(np.asarray(confidences)[large])]
            x1, y1, x2, y2 = inside[best].tolist()
            return Look((x1, y1, x2, y2), name, float(confidences[best]), outcomes)
    return Look(None, "", 0.0, outcomes)


def names(croppers: Sequence[BaseCropper]) -> list[str]:
    """Return the names of the croppers' classes; a repeated name has a number behind it."""
    kinds = [type(cropper).__name__ for cropper in croppers]
    before = [kinds[:place].count(kind) for place, kind in enumerate(kinds)]
    return [f"{kind}-{number + 1}" if number else kind for kind, number in zip(kinds, before, strict=True)]


def unused(args: Any) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for croppers of a loader that would never be asked."""
    if args.croppers and args.crops is None:
        yield "croppers", "only together with crops, whose boxes they find"


def largest(foreground: np.ndarray, size: Size) -> CropperBoxes:
    """Return the box of the largest connected piece of a mask, in pixels of a picture of `size`, (height, width).

    foreground: (h, w) bool. The confidence is the piece's share of the mask: 1 if the mask has one piece.
    """
    number, _, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    if number < 2:  # only background
        return CropperBoxes(np.zeros((0, 4)), np.zeros(0))
    piece = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    left, top, width, height, area = piece.tolist()
    y, x = size[0] / foreground.shape[0], size[1] / foreground.shape[1]
    box = np.array([[left * x, top * y, (left + width) * x, (top + height) * y]])
    return CropperBoxes(box, np.array([area / foreground.sum()]))


@CROPPERS.register()
class GrabCutCropper(BaseCropper):
    """The object in the middle of a picture that differs from the sides and the top; needs no model.

    GrabCut (Rother et al. 2004) of OpenCV, on a small copy: the border strips are background, an ellipse in the middle is
    probably foreground, and its core is surely foreground. The lower border is not used, because a person's body continues
    there. The confidence is the share of the foreground that is in one piece.
    """

    def __init__(
        self,
        border: Annotated[
            float,
            Field(gt=0, lt=0.3, description="share of the width and height of the border strips, which are taken for background"),
        ] = 0.06,
        iterations: Annotated[
            int, Field(ge=1, le=50, description="how often colours and segmentation are fitted to each other")
        ] = 3,
        side: Annotated[
            int,
            Field(ge=32, le=1024, description="longer side of the small copy, in pixels; the time taken grows with its square"),
        ] = 64,
    ) -> None:
        self.border, self.iterations, self.side = border, iterations, side

    def find(self, image: np.ndarray) -> CropperBoxes:
        """Return one box or none. image: (H, W, 3) uint8 RGB."""
        size = image.shape[0], image.shape[1]
        small = resize(image, fitted(size, (self.side, self.side)) if max(size) > self.side else size)
        height, width = small.shape[:2]
        if min(height, width) < 16:  # too few pixels to fit colours to
            return CropperBoxes(np.zeros((0, 4)), np.zeros(0))
        mask = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        for share, kind in ((0.35, cv2.GC_PR_FGD), (0.15, cv2.GC_FGD)):
            cv2.ellipse(mask, (width // 2, height // 2), (round(share * width), round(share * height)), 0, 0, 360, (kind,), -1)
        y, x = max(1, round(self.border * height)), max(1, round(self.border * width))
        mask[:y] = mask[:, :x] = mask[:, -x:] = cv2.GC_BGD
        cv2.setRNGSeed(0)  # for this thread: GrabCut starts its colour models from random centres
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), mask, None, *models, self.iterations, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        return largest((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), size)
