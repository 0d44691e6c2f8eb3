"""Boxes drawn on a picture, with numbers. Class names are not drawn: OpenCV can write Latin letters only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

# Okabe and Ito (2008): colours that people with any colour vision can tell apart.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def drawn(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray | Sequence[int],
    size: tuple[int, int] | None = None,
    dashed: bool = False,
) -> np.ndarray:
    """Return a copy of the picture (H, W, 3) uint8 RGB with numbered boxes, in a colour for each label.

    boxes: (n, 4) x1, y1, x2, y2 in pixels of a picture with height and width `size` (default: of this picture). labels: (n,)
    class numbers. dashed: draw dashed lines without numbers, for the truth.
    """
    canvas = np.ascontiguousarray(image).copy()
    height, width = size or canvas.shape[:2]
    scale = np.array([canvas.shape[1] / width, canvas.shape[0] / height] * 2)
    thick = max(1, round(max(canvas.shape[:2]) / 320))
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True), 1):
        x1, y1, x2, y2 = (int(value) for value in np.clip(np.round(box * scale), -(2**14), 2**14))
        colour = COLOURS[int(label) % len(COLOURS)]
        if dashed:
            _dashed(canvas, (x1, y1, x2, y2), thick)
            continue
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thick)
        _tag(canvas, str(number), (x1, y1), colour, thick)
    return canvas


def _dashed(canvas: np.ndarray, box: tuple[int, int, int, int], thick: int) -> None:
    """Draw white dashes on a black line, which are visible on any picture."""
    x1, y1, x2, y2 = box
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    cv2.rectangle(canvas, (x1, y1), (x2, y2), BLACK, thick)
    for (ax, ay), (bx, by) in pairwise(corners):
        steps = max(2, int(np.hypot(bx - ax, by - ay) / (6 * thick)))
        for step in range(0, min(steps, 400), 2):
            ends = [(round(ax + (bx - ax) * part / steps), round(ay + (by - ay) * part / steps)) for part in (step, step + 1)]
            cv2.line(canvas, ends[0], ends[1], WHITE, thick)


def _tag(canvas: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int], thick: int) -> None:
    size = 0.35 + 0.12 * thick
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    x, y = max(corner[0], 0), max(corner[1], high + 4)
    cv2.rectangle(canvas, (x, y - high - 4), (x + wide + 4, y), colour, -1)
    cv2.putText(canvas, text, (x + 2, y - 3), cv2.FONT_HERSHEY_SIMPLEX, size, BLACK, thick, cv2.LINE_AA)
