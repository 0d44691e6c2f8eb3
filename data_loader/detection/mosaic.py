"""Four training pictures joined into one: objects at more scales and in front of more backgrounds.

Bochkovskiy et al., YOLOv4, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from base.types import Share
from data_loader.pictures.decode import Size
from data_loader.pictures.letterbox import Placement, fitted
from utils.validate import Settings

Factor = Annotated[float, Field(gt=0, le=4)]  # on the size of a picture
PICTURES = 4


class Mosaic(Settings):
    """The share of mosaics among the samples, and the sizes of their pictures."""

    p: Share = Field(default=1.0, description="share of the training samples that are mosaics")
    scale: tuple[Factor, Factor] = Field(
        default=(0.5, 1.0),
        description="limits of each picture's size; a picture of size 1 is as large as the frame, and is cut off",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Mosaic:
        if self.scale[0] > self.scale[1]:
            raise ValueError("a scale whose first number is not above the second")
        return self

    def others(self, rng: np.random.Generator, samples: int) -> list[int]:
        """Return the rows of the three other pictures, possibly repeated; an empty list if the sample is not a mosaic."""
        if rng.random() >= self.p:
            return []
        return [int(row) for row in rng.integers(0, samples, PICTURES - 1)]

    def placements(self, rng: np.random.Generator, originals: Sequence[Size], frame: Size) -> list[Placement]:
        """Return the place of each of four pictures: corner to corner around a point in the middle half of the frame.

        originals: height and width of each picture.
        """
        y, x = (round(rng.uniform(0.25, 0.75) * side) for side in frame)
        sizes = [fitted(original, frame, rng.uniform(*self.scale)) for original in originals]
        corners = [
            (y - height if number < 2 else y, x - width if number % 2 == 0 else x) for number, (height, width) in enumerate(sizes)
        ]
        return [Placement(o, size, top, left) for o, size, (top, left) in zip(originals, sizes, corners, strict=True)]


def visible(boxes: np.ndarray, frame: Size, min_area: float, min_visibility: float) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes cut at the frame, (m, 4), and their indices, (m,) int64; boxes that are too small are left out.

    boxes: (n, 4) float xyxy in absolute pixels of the frame. min_area: smallest area in square pixels. min_visibility:
    smallest share of a box's own area.
    """
    height, width = frame
    clipped = np.clip(boxes, 0, [width, height, width, height])
    before, after = _areas(boxes), _areas(clipped)
    kept = np.flatnonzero((after > 0) & (after >= min_area) & (after >= min_visibility * before))
    return clipped[kept], kept


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas
