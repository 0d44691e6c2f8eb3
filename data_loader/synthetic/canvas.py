"""The drawing surface of the synthetic portraits: a pen, curves, a backdrop and the exposure.

A picture is drawn in RGB on a canvas larger than itself, and averaged down at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]  # RGB, 0..255
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Pair = Sequence[float]  # x and y
Points = npt.NDArray[np.float64]  # (n, 2)
Size = tuple[int, int]  # height and width in pixels

DARK: Colour = (34, 26, 26)
SMALLEST, LARGEST = 16, 4096  # pixels, the limits of the height and the width of a picture

_OVERSAMPLING = 2
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_UNIT = 1 << _SHIFT
_NOISE = 15  # the largest noise value of the sensor, of 255
_ANGLES = np.linspace(0, 2 * math.pi, 24, endpoint=False)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # from the right, clockwise
_STEPS = np.linspace(0, 1, 9)
_BEZIER = np.stack([(1 - _STEPS) ** 2, 2 * _STEPS * (1 - _STEPS), _STEPS**2], axis=1)


@dataclass(frozen=True)
class Box:
    """A named box in absolute pixels, x1 < x2 and y1 < y2, inside the picture."""

    name: str
    x1: float
    y1: float
    x2: float
    y2: float


class Pen:
    """Draw in head units on a canvas, at one place, scale and roll of the head."""

    def __init__(self, canvas: Image, centre: Pair, scale: float, roll: float, yaw: float) -> None:
        """Set the pose: `centre` and `scale` (half a head) in canvas pixels, `roll` and `yaw` in degrees."""
        self.canvas, self.scale = canvas, scale
        angle = math.radians(roll)
        self.sin, self.cos = math.sin(math.radians(yaw)), math.cos(math.radians(yaw))
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self._matrix, self._origin = turn * scale * _UNIT, np.asarray(centre) * _UNIT

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill the polygon of the points, (n, 2) float in head units."""
        cv2.fillPoly(self.canvas, [self._fixed(points)], colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, points: Points, colour: Colour, width: float, closed: bool = False) -> None:
        """Draw a line through the points, (n, 2) float in head units."""
        thickness = max(1, round(width * self.scale))
        fixed = [self._fixed(points)]
        cv2.polylines(self.canvas, fixed, closed, colour, thickness, cv2.LINE_8, _SHIFT)

    def box(self, name: str, points: Points) -> tuple[Box, ...]:
        """Return the bounds of the points in the picture; nothing if less than a pixel is inside."""
        height, width = (side / _OVERSAMPLING for side in self.canvas.shape[:2])
        placed = (points @ self._matrix + self._origin) / (_UNIT * _OVERSAMPLING)
        x1, y1 = np.maximum(placed.min(axis=0), 0).tolist()
        x2, y2 = np.minimum(placed.max(axis=0), (width, height)).tolist()
        return (Box(name, x1, y1, x2, y2),) if x2 - x1 >= 1 and y2 - y1 >= 1 else ()

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        placed: Points = points @ self._matrix + self._origin
        return placed.astype(np.int32)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` mixed with the share `share` (0..1) of `second`."""
    a, b, c = (x + (y - x) * share for x, y in zip(first, second, strict=True))
    return a, b, c


def jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Return a random colour near `colour`; `spread` is the standard deviation of each channel."""
    a, b, c = np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 0, 255).tolist()
    return a, b, c


def oval(x: float, y: float, rx: float, ry: float, power: float = 1.0) -> Points:
    """Return an ellipse of 24 points, (24, 2) float; `power` below 1 makes it squarer, above 1 pointed at the sides."""
    shape = CIRCLE
    if power != 1:
        shape = np.sign(shape) * np.abs(shape) ** (min(power, 1), power)
    return shape * (rx, ry) + (x, y)


def bend(start: Pair, knee: Pair, end: Pair) -> Points:
    """Return a quadratic Bezier curve of 9 points, (9, 2) float."""
    curve: Points = _BEZIER @ np.array((start, knee, end))
    return curve


def backdrop(size: Size, rng: np.random.Generator) -> Image:
    """Return a canvas (H, W, 3) uint8 with a blurred room: a few muted colours. Raises ValueError for a size out of range."""
    height, width = size
    if min(size) < SMALLEST or max(size) > LARGEST:
        limits = f"{SMALLEST} to {LARGEST} pixels a side"
        raise ValueError(f"size must be {limits}, not {height}x{width}")
    base = rng.uniform(80, 205) + rng.uniform(-22, 22, 3)
    cells = base + rng.uniform(-28, 28, (4, 3, 1)) + rng.uniform(-9, 9, (4, 3, 3))
    stretched = (width * _OVERSAMPLING, height * _OVERSAMPLING)
    canvas = cv2.resize(np.clip(cells, 0, 255).astype(np.uint8), stretched)
    return canvas.astype(np.uint8, copy=False)


def cabin(frame: Pen, seat: Pen, rng: np.random.Generator) -> None:
    """Draw the inside of a car: roof, door and pillar around the window, and the driver's seat."""
    wide = frame.canvas.shape[1] / frame.canvas.shape[0]
    trim = jitter(rng, (74, 74, 78), 14)
    dark, sill, post = mix(trim, DARK, 0.5), rng.uniform(0.56, 0.68), rng.uniform(0.1, 0.9) * wide
    frame.fill(np.array([(0, sill), (wide, sill - 0.05), (wide, 1.01), (0, 1.01)]), trim)
    frame.fill(np.array([(post, 0), (post + 0.1, 0), (post + 0.2, 1), (post + 0.06, 1)]), dark)
    frame.fill(bend((0, 0.16), (wide / 2, 0.02), (wide, 0.12)), dark)
    frame.fill(np.array([(0, 0), (wide, 0), (wide, 0.12), (0, 0.16)]), dark)
    seat.fill(oval(0.1, 3.2, 1.7, 2.3, 0.5), mix(dark, (120, 110, 100), 0.25))
    seat.fill(oval(0.1, 0.05, 0.85, 0.95, 0.5), mix(dark, (120, 110, 100), 0.35))


def expose(canvas: Image, brightness: float, rng: np.random.Generator) -> Image:
    """Average the canvas down to the picture (H, W, 3) uint8, with a slanted light and sensor noise."""
    height, width = (side // _OVERSAMPLING for side in canvas.shape[:2])
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    slant_x, slant_y = rng.uniform(-0.17, 0.17, 2)
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    light = (brightness * (1 + slant_x * across + slant_y * down[:, None])).astype(np.float32)
    lit = cv2.multiply(small, cv2.merge([light, light, light]), dtype=cv2.CV_8U)
    noise = np.frombuffer(rng.bytes(small.size), np.uint8).reshape(small.shape)
    return cv2.add(lit, noise & _NOISE).astype(np.uint8, copy=False)
