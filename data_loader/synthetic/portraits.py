"""Drawing of synthetic portraits, and the boxes of the visible objects in them.

Shapes are laid out in head units: the origin is the middle of the head, x grows to the right of the picture, y grows
downwards, and the chin is at y = 1. The same arguments always give the same picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from data_loader.synthetic.canvas import (
    CIRCLE,
    DARK,
    Box,
    Colour,
    Image,
    Pair,
    Pen,
    Points,
    Size,
    backdrop,
    bend,
    cabin,
    expose,
    jitter,
    mix,
    oval,
)
from data_loader.synthetic.people import Person, Shot

_MASKS = ((238, 240, 242), (160, 202, 226), (46, 48, 54), (236, 190, 200), (176, 208, 180))
_LIGHT: Colour = (255, 249, 242)
_EYE_Y = -0.06
_DEPTH, _HEIGHT = 0.62, 1.25  # half axes of the ellipsoid that carries the features of the face
_ACROSS = np.linspace(-1, 1, 17)  # from the left to the right rim of the head
_OVER = np.linspace(-0.05, math.pi + 0.05, 25)  # angles from the right over the crown to the left


@dataclass(frozen=True)
class Portrait:
    """A picture, (H, W, 3) uint8 RGB, and the boxes of the visible objects in it."""

    image: Image
    boxes: tuple[Box, ...]


def draw(person: Person, shot: Shot, size: Size, seed: int) -> Portrait:
    """Draw a head-and-shoulders portrait.

    `size` is (height, width) in pixels. `seed` (at least 0) decides background, clothes, light, noise and a small jitter of
    the pose. Raises ValueError if a side is not in 16..4096.
    """
    rng = np.random.default_rng(seed)
    canvas = backdrop(size, rng)
    height, width = canvas.shape[:2]
    scale = min(0.34 * height, 0.44 * width) * rng.uniform(0.92, 1.06)
    centre = (width * rng.uniform(0.46, 0.54), height * rng.uniform(0.45, 0.51))
    boxes = _seat(canvas, person, shot, centre, scale, rng)
    return Portrait(expose(canvas, shot.brightness, rng), boxes)


def draw_driver(person: Person | None, shot: Shot, size: Size, seed: int) -> Portrait:
    """Draw a portrait like `draw`, but at a random place and scale in a car; if `person` is None the seat is empty."""
    rng = np.random.default_rng(seed)
    canvas = backdrop(size, rng)
    height, width = canvas.shape[:2]
    scale = height * rng.uniform(0.17, 0.3)
    centre = (width * rng.uniform(0.3, 0.7), height * rng.uniform(0.38, 0.52))
    seat = Pen(canvas, centre, scale, 0, 0)
    cabin(Pen(canvas, (0, 0), height, 0, 0), seat, rng)
    boxes: tuple[Box, ...] = ()
    if person is not None:
        boxes = _seat(canvas, person, shot, centre, scale, rng)
        seat.stroke(np.array([(1.3, 1.2), (-1.1, 5.0)]), (52, 52, 56), 0.22)  # the belt
    return Portrait(expose(canvas, shot.brightness, rng), boxes)


def _seat(canvas: Image, person: Person, shot: Shot, centre: Pair, scale: float, rng: np.random.Generator) -> tuple[Box, ...]:
    """Draw the person with the head at `centre`, and return the boxes."""
    roll, yaw = shot.roll + rng.normal(0, 1.5), shot.yaw + rng.normal(0, 1.5)
    head = Pen(canvas, centre, scale, roll, yaw)
    body = Pen(canvas, centre, scale, 0.3 * roll, 0)
    return _Sitter(head, body, person, shot, rng).draw()


class _Sitter:
    """One person in one shot, drawn part by part from the back to the front."""

    def __init__(self, pen: Pen, body: Pen, person: Person, shot: Shot, rng: np.random.Generator) -> None:
        self.pen, self.body, self.look, self.shot, self.rng = pen, body, person.look, shot, rng
        self.flatness = np.array([self.look.width**-2, _HEIGHT**-2])
        self.foreshortening = np.array([pen.cos, 1.0])
        self.shadow = mix(self.look.skin, (120, 50, 40), 0.3)
        turned = abs(pen.sin) > 0.2
        self.near = -math.copysign(1, pen.sin) if turned else float(rng.choice((-1, 1)))
        self.cover = self._cover()

    def draw(self) -> tuple[Box, ...]:
        """Draw everything, and return the boxes of the visible objects."""
        self._back_hair()
        self._torso()
        boxes = self._skin()
        self._nose()
        boxes += self._mouth() + self._eye(-1) + self._eye(1)
        self._mask()
        self._front_hair()
        self._ears()
        self._glasses()
        return boxes + (self._phone() if self.shot.phone else ())

    def _turn(self, points: Points, lift: float = 0.0) -> Points:
        """Return the points of the face, (n, 2) float, after the turn of the head; `lift` raises them off the face."""
        sin, cos, width = self.pen.sin, self.pen.cos, self.look.width
        height = 1 - points**2 @ self.flatness
        z = np.sqrt(np.maximum(height, 0)) * _DEPTH + lift
        turned: Points = points * self.foreshortening
        turned[:, 0] += z * sin
        behind = z * cos < points[:, 0] * sin
        if behind.any():  # points behind the rim are moved to the rim, because the head hides them
            rim = math.copysign(math.hypot(width * cos, _DEPTH * sin), sin)
            turned[behind, 0] = rim * np.sqrt(1 - (points[behind, 1] / _HEIGHT) ** 2)
        return turned

    def _fill(self, points: Points, colour: Colour, lift: float = 0.0) -> None:
        self.pen.fill(self._turn(points, lift), colour)

    def _line(self, start: Pair, knee: Pair, end: Pair, colour: Colour, width: float) -> None:
        self.pen.stroke(self._turn(bend(start, knee, end), 0.03), colour, width)

    def _tint(self, share: float) -> Colour:
        """Return the skin colour with a share of its shadow."""
        return mix(self.look.skin, self.shadow, share)

    def _outline(self, grow: float = 0.0) -> Points:
        """Return the edge of the face, (24, 2) float; the jaw follows the turn of the head."""
        cos, y = CIRCLE[:, 0], CIRCLE[:, 1]
        wide = np.sign(cos) * np.abs(cos) ** np.where(y > 0, self.look.jaw, 0.85)
        x = wide * (self.look.width + grow) + 0.16 * self.pen.sin * np.maximum(y, 0)
        return np.stack([x, y * (1 + grow)], axis=1)

    def _cover(self) -> tuple[float, float]:
        """Return the heights between which a mask hides the face, equal without a mask."""
        if self.shot.mask == "not_worn":
            return 0.0, 0.0
        if self.shot.mask == "worn":
            return self.rng.uniform(0.04, 0.14), 1.06
        below_nose, chin, eyes = (0.44, 1.06), (0.8, 1.12), (-0.36, 0.24)
        return (below_nose, below_nose, chin, chin, eyes)[self.rng.integers(5)]

    def _hides(self, y: float) -> bool:
        return self.cover[0] < y < self.cover[1]

    def _back_hair(self) -> None:
        look = self.look
        if look.hair_length < 0:
            return
        middle, half = (look.hair_length - 0.7) / 2, (look.hair_length + 0.7) / 2
        shape = oval(-0.12 * self.pen.sin, middle, look.width + look.volume, half, 0.5)
        self.pen.fill(shape, mix(look.hair, DARK, 0.3))

    def _torso(self) -> None:
        rng, body, half = self.rng, self.body, self.look.shoulders
        shirt = mix(jitter(rng, (128, 128, 128), 70), (120, 124, 130), 0.25)
        neck = 0.26 + 0.09 * (half - 1.1)
        body.fill(oval(0, 2.75, half, 1.45, 0.6), shirt)
        body.fill(np.array([(-half, 2.7), (half, 2.7), (half, 9), (-half, 9)]), shirt)
        body.fill(oval(0, 1.34, neck + 0.1, rng.uniform(0.14, 0.4)), self.shadow)
        column = np.array([(-neck, 0.5), (neck, 0.5), (neck + 0.05, 1.42), (-neck - 0.05, 1.42)])
        body.fill(column, self._tint(0.6))
        body.fill(oval(0.1 * self.pen.sin, 0.93, neck, 0.26), mix(self.shadow, DARK, 0.2))

    def _skin(self) -> tuple[Box, ...]:
        """Draw the face without its features: colour, blush, beard, wrinkles and a mole."""
        look, outline = self.look, self._outline()
        self.pen.fill(outline, look.skin)
        self._fill(oval(0, -0.42, 0.4, 0.2), mix(look.skin, _LIGHT, 0.12))
        blush = mix(look.skin, (226, 92, 84), 0.18 * (1 - 0.8 * look.wrinkles))
        for side in (-1, 1):
            self._fill(oval(side * look.eye_gap, _EYE_Y, 0.2, 0.14), self._tint(0.2))
            self._fill(oval(side * 0.43, 0.3, 0.17, 0.13), blush)
        if look.beard > 0:
            self._beard()
        self._wrinkles()
        self._fill(oval(*look.mole, 0.025, 0.025), mix(self.shadow, DARK, 0.55))
        return self.pen.box("face", outline)

    def _beard(self) -> None:
        look = self.look
        upper = np.array([(-0.66, 0.22), (-0.48, 0.5), (-0.3, 0.44), (0, 0.42)])
        upper = np.concatenate([upper, upper[-2::-1] * (-1, 1)])
        colour = mix(look.skin, mix(look.hair, DARK, 0.2), 0.15 + 0.7 * look.beard)
        self.pen.fill(np.concatenate([self._outline()[1:12], self._turn(upper)]), colour)

    def _wrinkles(self) -> None:
        look, depth = self.look, self.look.wrinkles
        colour = self._tint(0.35 + 0.9 * depth)
        for number in range(math.floor(depth * 4.2)):
            y, half = -0.34 - 0.085 * number, 0.34 - 0.03 * number
            self._line((-half, y + 0.03), (0, y - 0.04), (half, y + 0.03), colour, 0.02)
        if depth < 0.12:
            return
        for side in (-1, 1):
            x, bag, fold = side * look.eye_gap, 0.18 + 0.05 * depth, 0.45 + 0.28 * depth
            self._line((x - 0.13, 0.06), (x, bag), (x + 0.13, 0.06), colour, 0.025)
            self._line((side * 0.15, 0.32), (side * 0.3, 0.42), (side * 0.32, fold), colour, 0.025)
            for number in range(math.floor(depth * 4)):
                inner = (x + side * 0.2, _EYE_Y + 0.02 * number)
                outer = (x + side * 0.3, _EYE_Y - 0.08 + 0.07 * number)
                self._line(inner, inner, outer, colour, 0.02)

    def _nose(self) -> None:
        half, tip, side = self.look.nose_width, self.look.nose_length, self.near
        bridge = ((side * 0.09, -0.06), (side * 0.05, 0.14), (side * half, tip - 0.04))
        self._line(*bridge, self._tint(0.45), 0.035)
        self._fill(oval(0, tip - 0.05, half * 0.8, 0.08), self._tint(0.2), 0.14)
        under = bend((-half, tip - 0.02), (0, tip + 0.1), (half, tip - 0.02))
        self.pen.stroke(self._turn(under, 0.12), self.shadow, 0.04)
        self._fill(oval(-0.015, tip - 0.08, 0.035, 0.04), mix(self.look.skin, _LIGHT, 0.3), 0.2)

    def _mouth(self) -> tuple[Box, ...]:
        look, pen, opened = self.look, self.pen, self.shot.mouth_open
        if self._hides(look.mouth_y):
            return ()
        lips = self._lips()
        middle = lips.mean(axis=0)
        pen.fill(lips, look.lips)
        if opened:
            pen.fill((lips - middle) * (0.8, 0.66) + middle, (92, 26, 32))
            pen.fill((lips[12:] - middle) * (0.7, 0.6) + middle, (244, 242, 236))
        else:
            left, right = lips[12], lips[0]
            seam = bend(left, 2 * middle - (left + right) / 2, right)
            pen.stroke(seam, mix(look.lips, DARK, 0.6), 0.025)
        boxes = pen.box("mouth_opened" if opened else "mouth_closed", lips)
        return boxes + (self._cigarette(middle) if self.shot.cigarette else ())

    def _lips(self) -> Points:
        look, shot = self.look, self.shot
        wide, corners, power = {
            "neutral": (1.0, 0.035, 1.25),
            "smile": (1.25, 0.12, 1.25),
            "surprise": (0.72, 0.0, 1.0),
        }[shot.expression]
        tall = look.lip if not shot.mouth_open else 0.2 if shot.expression == "surprise" else 0.15
        points = oval(0, look.mouth_y, look.mouth_width * wide, tall, power)
        points[:, 1] -= corners * CIRCLE[:, 0] ** 2
        return self._turn(points)

    def _cigarette(self, mouth: Points) -> tuple[Box, ...]:
        side, thick = self.near, np.array((0.0, 0.075))
        start = mouth + np.array((side * 0.08, 0.0))
        reach = np.array((side * self.rng.uniform(0.38, 0.52), self.rng.uniform(0.02, 0.2)))
        for first, last, colour in (
            (0.0, 0.3, (214, 150, 84)),
            (0.3, 0.86, (246, 246, 244)),
            (0.86, 1.0, (214, 82, 40)),
        ):
            a, b = start + reach * first, start + reach * last
            self.pen.fill(np.array([a, b, b + thick, a + thick]), colour)
        return self.pen.box("cigar", np.array([start, start + reach + thick]))

    def _eye(self, side: int) -> tuple[Box, ...]:
        """Draw brow and eye; return no box for an eye that is turned away or under a mask."""
        look, shot, pen, closed = self.look, self.shot, self.pen, self.shot.eyes_closed
        self._brow(side)
        x, half = side * look.eye_gap, look.eye_size
        tall = half * {"neutral": 0.56, "smile": 0.46, "surprise": 0.78}[shot.expression]
        shape = oval(x, _EYE_Y, half, tall, 1.2)
        shape[:, 1] -= side * look.eye_tilt * CIRCLE[:, 0]
        lids = self._turn(shape)
        if np.ptp(lids[:, 0]) < 0.7 * half or self._hides(_EYE_Y):
            return ()
        pen.fill(lids, self._tint(0.45) if closed else (246, 243, 238))
        if not closed:
            self._iris(x, min(tall * 0.98, 0.085))
        lash = lids[:13] if closed else lids[[*range(12, 24), 0]]
        pen.stroke(lash, mix(look.hair, DARK, 0.75), look.lashes)
        return pen.box("eye_closed" if closed else "eye_opened", lids)

    def _iris(self, x: float, radius: float) -> None:
        iris = self._turn(oval(x, _EYE_Y, radius, radius))
        middle = iris.mean(axis=0)
        self.pen.fill(iris, self.look.iris)
        self.pen.fill(middle + (iris - middle) * 0.5, (14, 12, 14))
        self.pen.fill(middle - (0.025, 0.03) + (iris - middle) * 0.28, (255, 255, 255))

    def _brow(self, side: int) -> None:
        look = self.look
        raised = 0.09 if self.shot.expression == "surprise" else 0.0
        x, y = side * look.eye_gap, _EYE_Y - look.brow_lift - raised
        inner, knee, outer = (x - side * 0.17, y), (x, y - 0.07), (x + side * 0.19, y + 0.04)
        self._line(inner, knee, outer, mix(look.hair, DARK, 0.4), look.brow)

    def _mask(self) -> None:
        top, bottom = self.cover
        if top == bottom:
            return
        pen, jaw = self.pen, (1 - min(top + 0.1, 0.93) ** 2) ** (self.look.jaw / 2)
        half = self.look.width * min(0.93, jaw + 0.1)
        colour = jitter(self.rng, _MASKS[self.rng.integers(len(_MASKS))], 8)
        upper = self._turn(bend((-half, top + 0.1), (0, top - 0.14), (half, top + 0.1)), 0.08)
        if bottom > 1:  # along the jaw
            lower = self._outline(0.03)[3:10] * (1, bottom / 1.03)
        else:  # over the nose
            lower = self._turn(bend((half, bottom), (0, bottom + 0.1), (-half, bottom)), 0.08)
        for side, corner in ((-1, upper[0]), (1, upper[-1])):
            ear = self._turn(np.array([(side * self.look.width, 0.0)]))[0]
            pen.stroke(np.array([corner, ear]), mix(colour, DARK, 0.3), 0.03)
        cloth, crease = np.concatenate([upper, lower]), mix(colour, DARK, 0.15)
        pen.fill(cloth, colour)
        pen.stroke(cloth, crease, 0.02, closed=True)
        for share in (0.3, 0.5, 0.7):
            y = top + (bottom - top) * share
            self._line((-0.6 * half, y), (0, y + 0.03), (0.6 * half, y), crease, 0.02)

    def _front_hair(self) -> None:
        """Draw the hair between the hairline, which turns with the face, and the edge of the skull."""
        look, pen = self.look, self.pen
        bald = (0.55 if look.hair_length < 0 else 0.2) * look.recede
        top, bend = look.fringe - bald, np.sin(_ACROSS * math.pi)
        y = top + (0.12 - top) * np.abs(_ACROSS) ** 4
        y -= 0.5 * look.parting * look.fringe * bend + 0.3 * bald * np.abs(bend)
        y = np.maximum(y, -1.02)
        x = look.width * np.sin(_ACROSS * math.pi / 2) * np.sqrt(1 - (y / _HEIGHT) ** 2)
        crown = self._crown(0.04 + look.volume * (1 - bald))
        hairline = self._turn(np.stack([x, y], axis=1), 0.02)
        pen.fill(np.concatenate([hairline, crown]), look.hair)
        if bald < 0.2:
            pen.stroke(crown[5:12] * 0.93, mix(look.hair, _LIGHT, 0.13), 0.06)
        if look.hair_length > 0:
            self._locks(-1)
            self._locks(1)

    def _crown(self, grow: float) -> Points:
        """Return the outer edge of the hair from right to left, with the nape if the head is turned."""
        look, sin = self.look, self.pen.sin
        bump = 1 + 0.05 * look.curl * np.sin(_OVER * 11)
        cos = np.sign(np.cos(_OVER)) * np.abs(np.cos(_OVER)) ** 0.88
        edge = [cos * (look.width + 0.6 * grow) * bump, 0.02 - np.sin(_OVER) * (1 + grow) * bump]
        points = np.stack(edge, axis=1)
        if abs(sin) < 0.2:
            return points
        nape = [(-math.copysign(look.width + 0.4 * grow, sin), 0.12 + 0.4 * abs(sin))]
        return np.concatenate([points, nape] if sin > 0 else [nape, points])

    def _locks(self, side: int) -> None:
        """Draw long hair beside the face."""
        length, face = self.look.hair_length, side * self.look.width
        half = side * (self.look.width + 0.8 * self.look.volume)
        low = min(length, 1.0)
        inner = self._turn(bend((face * 0.66, -0.62), (face * 0.86, -0.1), (face * 0.93, low)))
        outer = bend((half * 0.86, length), (half * 1.12, 0.3), (half * 0.85, -0.6))
        self.pen.fill(np.concatenate([inner, outer]), self.look.hair)

    def _ears(self) -> None:
        look, pen = self.look, self.pen
        for side in (-1, 1):
            if look.hair_length > 0 or side * pen.sin > 0.12:
                continue  # hidden under the hair, or behind the head
            x = side * (look.width + 0.02) * pen.cos
            pen.fill(oval(x, 0.04, 0.09 + 0.05 * abs(pen.sin), 0.18), look.skin)
            pen.stroke(bend((x, -0.08), (x + side * 0.06, 0.02), (x, 0.14)), self._tint(0.8), 0.03)

    def _glasses(self) -> None:
        look, colour = self.look, (48.0, 40.0, 42.0)
        if look.glasses == 0:
            return
        left, right = (self._turn(oval(side * look.eye_gap, 0, 0.24, 0.2, look.glasses), 0.1) for side in (-1, 1))
        for rim in (left, right):
            if np.ptp(rim[:, 0]) > 0.2:  # narrower rims are seen from the side
                self.pen.stroke(rim, colour, 0.035, closed=True)
        self.pen.stroke(np.array([left[0], right[12]]), colour, 0.035)

    def _phone(self) -> tuple[Box, ...]:
        """Draw a phone at the ear, the hand that holds it, and the arm."""
        pen, side, skin = self.pen, self.near, self._tint(0.3)
        x = side * (self.look.width * max(pen.cos, 0.6) + 0.08)
        arm = [(x - 0.2, 0.4), (x + 0.2, 0.4), (x + side * 0.5 + 0.3, 3), (x + side * 0.5 - 0.2, 3)]
        self.body.fill(np.array(arm), skin)
        pen.fill(oval(x + side * 0.06, 0.3, 0.24, 0.26), skin)
        corners = np.array([(-0.16, -0.42), (0.16, -0.42), (0.16, 0.42), (-0.16, 0.42)])
        lean = side * 0.1 + self.rng.uniform(-0.1, 0.1)
        slab = corners + np.array((x, 0.16)) - corners[:, 1:] * (lean, 0)
        pen.fill(slab, (34, 36, 42))
        for y in (0.12, 0.24, 0.36, 0.48):
            finger = np.array([(x + side * 0.22, y), (x - side * 0.04, y - 0.02)])
            pen.stroke(finger, self._tint(0.15), 0.1)
        return pen.box("phone", slab)
