"""Pictures in a frame of another shape, without distortion: resized until they fit; the rest is filled.

Coordinates are continuous: pixel i of a row covers the coordinates from i to i + 1, a picture of width w those from 0 to w.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data_loader.pictures.decode import Size, resize

GREY = 114  # value around a picture, near the mean of photographs


class Placement(NamedTuple):
    """The position and size of a picture in a frame, in pixels."""

    original: Size  # height and width of the picture itself
    size: Size  # height and width in the frame
    top: int = 0
    left: int = 0

    def into(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes in absolute pixels of the frame, (n, 4) float xyxy; neither clipped nor rounded.

        boxes: (n, 4) xyxy in absolute pixels of the original picture.
        """
        y, x = self.size[0] / self.original[0], self.size[1] / self.original[1]
        moved: np.ndarray = boxes * [x, y, x, y] + [self.left, self.top, self.left, self.top]
        return moved

    def back(self) -> np.ndarray:
        """Return the affine map (2, 3) float32 from the frame's coordinates to the coordinates of the original picture."""
        y, x = self.original[0] / self.size[0], self.original[1] / self.size[1]
        return np.array([[x, 0, -self.left * x], [0, y, -self.top * y]], np.float32)


def fitted(original: Size, frame: Size, factor: float = 1.0) -> Size:
    """Return the largest size with the proportions of the original that fits into the frame, times a factor; at least a pixel."""
    scale = factor * min(frame[0] / original[0], frame[1] / original[1])
    return max(1, round(original[0] * scale)), max(1, round(original[1] * scale))


def centred(original: Size, frame: Size) -> Placement:
    """Return the placement of a picture as large as it fits, in the middle of the frame."""
    size = fitted(original, frame)
    return Placement(original, size, (frame[0] - size[0]) // 2, (frame[1] - size[1]) // 2)


def blank(frame: Size) -> np.ndarray:
    """Return an empty frame, (h, w, 3) uint8."""
    return np.full((*frame, 3), GREY, np.uint8)


def paste(canvas: np.ndarray, picture: np.ndarray, placement: Placement) -> None:
    """Put a picture (h, w, 3) uint8 of any size at its placement on the canvas; parts outside the canvas are cut off."""
    picture = resize(picture, placement.size)
    top, left = max(0, placement.top), max(0, placement.left)
    inside = picture[top - placement.top :, left - placement.left :]
    height, width = (max(0, side) for side in (canvas.shape[0] - top, canvas.shape[1] - left))
    inside = inside[:height, :width]
    canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside


def common_frame(sizes: Iterable[Size], multiple_of: int) -> Size:
    """Return the smallest frame for pictures of these sizes whose sides are multiples of `multiple_of` pixels."""
    heights, widths = zip(*sizes, strict=True)
    return rounded_up(max(heights), multiple_of), rounded_up(max(widths), multiple_of)


def rounded_up(side: float, multiple_of: int) -> int:
    """Return the next multiple of `multiple_of`, at least `multiple_of` itself."""
    return max(1, -(-int(side) // multiple_of)) * multiple_of
