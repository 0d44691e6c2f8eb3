"""The synthetic population: invented people with known attributes, and the poses of their pictures.

A `Person` is everything fixed for one identity and a `Shot` everything that varies between pictures of it. No real person is
involved, and the same arguments always give the same person.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from data_loader.synthetic.canvas import Colour, jitter, mix

Gender = Literal["male", "female"]
MaskState = Literal["worn", "incorrect", "not_worn"]
Expression = Literal["neutral", "smile", "surprise"]

EXPRESSIONS: tuple[Expression, ...] = ("neutral", "smile", "surprise")
CAMERAS = 11  # yaw steps of `angle_shot`, from -60 to 60 degrees
AGE_RANGES = ((18, 29), (30, 59), (60, 80))  # inclusive, one per age group
BLOCK = 10  # people; each block of indices holds the age groups 4 : 4 : 2 and the genders 5 : 5

_SKINS = ((246, 216, 194), (232, 190, 156), (205, 152, 112), (150, 101, 70), (104, 68, 49))
_HAIRS = ((28, 24, 26), (58, 40, 30), (96, 62, 38), (128, 62, 34), (176, 132, 78), (214, 182, 122))
_IRISES = ((72, 44, 28), (112, 76, 40), (98, 112, 62), (70, 112, 152), (112, 126, 138))
_GREY: Colour = (206, 206, 208)
_PALE: Colour = (198, 186, 172)  # old skin fades towards it
_LIPSTICK: Colour = (188, 52, 66)


@dataclass(frozen=True)
class Look:
    """The appearance of one person: colours, and lengths in half heights of the head."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    width: float  # half width of the face
    jaw: float  # exponent of the lower outline: small is square, large is pointed
    shoulders: float
    eye_gap: float
    eye_size: float
    eye_tilt: float
    lashes: float
    brow: float
    brow_lift: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float
    hair_length: float  # length of the hair below the eyes; negative for short hair
    volume: float
    fringe: float  # height of the hairline
    parting: float
    curl: float
    recede: float  # 0 full hair .. 1 bald
    beard: float  # 0 shaved .. 1 full
    wrinkles: float  # 0 smooth .. 1 deep
    glasses: float  # shape of the rims, 0 for no glasses
    mole: tuple[float, float]


@dataclass(frozen=True)
class Person:
    """One identity, a function of (seed, index).

    Fields: index; name, the index in six digits; gender; race, always "Synthetic"; age in years, 18 to 80; look, the
    appearance.
    """

    index: int
    name: str
    gender: Gender
    race: str
    age: int
    look: Look = field(repr=False)


@dataclass(frozen=True)
class Shot:
    """The pose of one picture of a person.

    Fields: mask; expression; yaw in degrees, -60 to 60, positive towards the right of the picture; roll in degrees, positive
    clockwise; brightness, a factor near 1; the other fields switch things on. With a mask that covers the mouth no cigarette
    is drawn.
    """

    mask: MaskState = "not_worn"
    expression: Expression = "neutral"
    yaw: float = 0.0
    roll: float = 0.0
    brightness: float = 1.0
    mouth_open: bool = False
    eyes_closed: bool = False
    phone: bool = False
    cigarette: bool = False


def person(seed: int, index: int) -> Person:
    """Return the person number `index` of the population `seed`. Raises ValueError if a number is negative."""
    rng = np.random.default_rng([seed, index])
    group, gender = _deal(seed, index)
    low, high = AGE_RANGES[group]
    age = int(rng.integers(low, high + 1))
    return Person(index, f"{index:06d}", gender, "Synthetic", age, _look(rng, gender, age))


def casual_shot(seed: int, mask: MaskState, turn: float = 8.0) -> Shot:
    """Return a casual pose; `turn` is the spread of the yaw in degrees."""
    rng = np.random.default_rng([seed, 1])
    expression = EXPRESSIONS[rng.choice(3, p=(0.6, 0.35, 0.05))]
    return Shot(
        mask=mask,
        expression=expression,
        yaw=float(np.clip(rng.normal(0, turn), -60, 60)),
        roll=float(rng.normal(0, 2)),
        brightness=float(rng.uniform(0.75, 1.15)),
        mouth_open=expression != "neutral" and bool(rng.random() < 0.4),
    )


def angle_shot(number: int, seed: int) -> Shot:
    """Return the pose of picture `number` of a person on the grid of expressions and cameras."""
    expression, camera = angle_grid(number)
    return replace(
        casual_shot(seed, "not_worn"),
        expression=EXPRESSIONS[expression],
        yaw=-60.0 + 120.0 * camera / (CAMERAS - 1),
        mouth_open=EXPRESSIONS[expression] == "surprise",
    )


def angle_grid(number: int) -> tuple[int, int]:
    """Return expression and camera of a picture; 33 pictures in a row show all pairs, because 3 and 11 are coprime."""
    return number % len(EXPRESSIONS), number * 4 % CAMERAS


def driver_shot(seed: int) -> Shot:
    """Return the pose of a driver, who may be asleep, yawning, on the phone or smoking."""
    rng = np.random.default_rng([seed, 2])
    return replace(
        casual_shot(seed, "not_worn", turn=18.0),
        eyes_closed=bool(rng.random() < 0.35),
        mouth_open=bool(rng.random() < 0.35),
        phone=bool(rng.random() < 0.35),
        cigarette=bool(rng.random() < 0.3),
    )


def _deal(seed: int, index: int) -> tuple[int, Gender]:
    """Return age group and gender; the first six people of a block show all six pairs."""
    block, position = divmod(index, BLOCK)
    rng = np.random.default_rng([seed, block, 1])
    order = [*rng.permutation(6), *rng.permutation(4)]
    group, gender = divmod(int(order[position]), 2)
    return group, "female" if gender else "male"


def _look(rng: np.random.Generator, gender: Gender, age: int) -> Look:
    """Draw a random appearance. Gender and age shift the distributions, which overlap."""
    lean = 1.0 if gender == "female" else -1.0
    seen_age = age + rng.normal(0, 3)  # people look older or younger than they are
    tone = rng.beta(1.3, 1.8)
    hair = _HAIRS[rng.integers(3 if tone > 0.3 else len(_HAIRS))]  # dark skin, dark hair
    skin = jitter(rng, _ramp(_SKINS, tone), 4)

    def around(middle: float, slope: float, spread: float) -> float:
        return float(middle + slope * lean + rng.normal(0, spread))

    def limited(value: float, low: float = 0.0, high: float = 1.0) -> float:
        return float(min(max(value, low), high))

    return Look(
        skin=mix(skin, _PALE, 0.28 * limited((seen_age - 45) / 30)),
        hair=mix(jitter(rng, hair, 5), _GREY, limited((seen_age - 38) / 28 + rng.normal(0, 0.08))),
        iris=jitter(rng, _IRISES[rng.integers(len(_IRISES))], 10),
        lips=mix(skin, _LIPSTICK, limited(around(0.4, 0.16, 0.09), 0.15, 0.8)),
        width=around(0.755, -0.012, 0.03),
        jaw=limited(around(0.86, 0.13, 0.07), 0.62, 1.15),
        shoulders=around(1.42, -0.13, 0.06),
        eye_gap=around(0.315, 0, 0.022),
        eye_size=around(0.145, 0.008, 0.012),
        eye_tilt=around(0.012, 0.006, 0.018),
        lashes=limited(around(0.034, 0.012, 0.005), 0.018, 0.06),
        brow=limited(around(0.068, -0.018, 0.009), 0.03, 0.11),
        brow_lift=around(0.24, 0.015, 0.018),
        nose_length=around(0.32, -0.01, 0.035),
        nose_width=around(0.13, -0.012, 0.018),
        mouth_y=around(0.6, 0, 0.025),
        mouth_width=around(0.235, -0.004, 0.025),
        lip=limited(around(0.066, 0.012, 0.012), 0.035, 0.11),
        hair_length=rng.uniform(0.35, 1.75) if rng.random() < (0.86 if lean > 0 else 0.1) else -1.0,
        volume=limited(around(0.12, 0.02, 0.045), 0.05, 0.26),
        fringe=rng.uniform(-0.66, -0.38),
        parting=rng.uniform(-0.3, 0.3),
        curl=max(0.0, rng.uniform(-1, 1)),
        recede=limited((seen_age - 42) / 45 - 0.25 * lean + rng.normal(0, 0.15)),
        beard=0.0 if lean > 0 or rng.random() < 0.4 else rng.uniform(0.25, 1),
        wrinkles=limited((seen_age - 22) / 45 + rng.normal(0, 0.04)),
        glasses=rng.uniform(0.45, 1) if rng.random() < (0.6 if seen_age > 52 else 0.1) else 0.0,
        mole=(rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.75)),
    )


def _ramp(colours: tuple[Colour, ...], position: float) -> Colour:
    """Return the colour at `position` (0..1) of the gradient through `colours`."""
    whole, part = divmod(position * (len(colours) - 1), 1)
    first = min(int(whole), len(colours) - 2)
    return mix(colours[first], colours[first + 1], part)
