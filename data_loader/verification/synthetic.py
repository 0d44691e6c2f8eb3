"""Synthetic faces and pairs of them, in the layouts of configs/verify_mobilefacenet.json and configs/triarchy.json."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from base.base_reader import BaseReader
from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.synthetic import writing
from data_loader.synthetic.canvas import Size
from data_loader.synthetic.layouts import Layout, register_layout
from data_loader.synthetic.people import CAMERAS, EXPRESSIONS, Shot, angle_grid, angle_shot, casual_shot, person
from data_loader.synthetic.portraits import draw
from data_loader.verification.pair_reader import PairReader
from utils import files

_ANGLE_PEOPLE = 1000  # file names of the angle set hold three digits
_SHOTS = 6  # pictures of each person that the reader draws
_ANGLE_SHOTS = len(EXPRESSIONS) * CAMERAS  # every expression at every camera

People = Annotated[int, "to train on"]
Shots = Annotated[int, "pictures of each person"]
PairCount = Annotated[int, "to validate and to predict"]


def write_verify(
    folder: Path, people: People = 200, shots: Shots = 12, pairs: PairCount = 400, seed: int = 0, size: Size = (112, 112)
) -> None:
    """Write faces for verification, with pairs of the same person and of different people.

    `train/` holds `people` people with `shots` JPEG pictures each and `train_meta.csv` (file_name, face_id). `validate/` and
    `test/` hold a quarter as many other people each, and `pairs` pairs in `validate_label.csv` and `test_label.csv` (image1,
    image2, label; 0 for the same person, 1 for different ones, half of each). In `test_label.csv` all labels are 0; the truth
    is in `test/answers.csv`. Raises FileExistsError if `folder` exists, and ValueError for a number out of range.
    """
    _write_pair_set(folder, _VERIFY, people, shots, pairs, seed, size)


def write_angle(
    folder: Path, people: People = 200, shots: Shots = 12, pairs: PairCount = 400, seed: int = 0, size: Size = (56, 56)
) -> None:
    """Write faces like `write_verify`, but in PNG, with large angles and expressions.

    Train files are named `<id>_<E01..E03>_<C01..C11>_<k>.png`: the expression (neutral, smile, surprise), the camera (yaw from
    -60 to 60 degrees) and the repetition. Raises ValueError for more than 1000 people.
    """
    if people > _ANGLE_PEOPLE:
        raise ValueError(f"people must be at most {_ANGLE_PEOPLE}, not {people}")
    _write_pair_set(folder, _ANGLE, people, shots, pairs, seed, size)


@dataclass(frozen=True)
class _PairLayout:
    """The names of the train files of a pair set, and the poses of its people.

    `shot` takes the number of a picture of a person and its seed; `train_name` takes the index of the person, the number of
    the picture and its digest.
    """

    name: str
    suffix: str
    shot: Callable[[int, int], Shot]
    train_name: Callable[[int, int, str], str]


def _angle_name(index: int, number: int, key: str) -> str:
    expression, camera = angle_grid(number)
    repetition = number // (len(EXPRESSIONS) * CAMERAS)
    return f"{index:03d}_E{expression + 1:02d}_C{camera + 1:02d}_{repetition:02d}"


_VERIFY = _PairLayout(
    name="verify",
    suffix=".jpg",
    shot=lambda number, seed: casual_shot(seed, "not_worn", turn=18.0),
    train_name=lambda index, number, key: key[:16],
)
_ANGLE = _PairLayout("angle", ".png", angle_shot, _angle_name)


def _write_pair_set(
    folder: Path,
    layout: _PairLayout,
    people: int,
    shots: int,
    pairs: int,
    seed: int,
    size: Size,
) -> None:
    writing.require(people=(people, 1), shots=(shots, 2), pairs=(pairs, 2), seed=(seed, 0))
    others = max(2, people // 4)
    same = others * math.comb(shots, 2)  # number of possible pairs of one person
    if pairs > 2 * same:
        raise ValueError(f"pairs must be at most {2 * same} with {others} people, not {pairs}")
    with files.new_folder(folder) as partial:
        train = _write_faces(partial / "train", layout, range(people), shots, seed, size)
        rows = [(name, index) for index, names in train.items() for name in names]
        writing.write_csv(partial / "train" / "train_meta.csv", ("file_name", "face_id"), rows)
        for first, split in ((people, "validate"), (people + others, "test")):
            indices = range(first, first + others)
            faces = _write_faces(partial / split, layout, indices, shots, seed, size)
            rng = np.random.default_rng([seed, first, 3])
            _write_pairs(partial / split, split, _pairs(list(faces.values()), pairs, rng))


def _write_faces(folder: Path, layout: _PairLayout, indices: range, shots: int, seed: int, size: Size) -> dict[int, list[str]]:
    """Write `shots` pictures of each person; return the file names by person."""
    named: dict[int, list[str]] = {}
    for index in indices:
        one, named[index] = person(seed, index), []
        for number in range(shots):
            key = writing.digest(seed, layout.name, index, number)
            train = folder.name == "train"
            name = layout.train_name(index, number, key) if train else key[:16]
            image = draw(one, layout.shot(number, writing.seed_of(key)), size, writing.seed_of(key)).image
            writing.write_image(folder / f"{name}{layout.suffix}", image)
            named[index].append(f"{name}{layout.suffix}")
    return named


def _pairs(faces: list[list[str]], count: int, rng: np.random.Generator) -> list[tuple[str, str, int]]:
    """Return `count` pairs without repetition in random order, half of them (rounded down) of the same person."""
    chosen: dict[tuple[str, str], int] = {}
    while len(chosen) < count:
        different = int(len(chosen) >= count // 2)
        first, second = rng.choice(len(faces), 2, replace=False)
        if different:
            a, b = str(rng.choice(faces[first])), str(rng.choice(faces[second]))
        else:
            a, b = rng.choice(faces[first], 2, replace=False).tolist()
        chosen[min(a, b), max(a, b)] = different
    rows = [(a, b, label) for (a, b), label in chosen.items()]
    return [rows[number] for number in rng.permutation(len(rows))]


def _write_pairs(folder: Path, split: str, pairs: list[tuple[str, str, int]]) -> None:
    columns = ("image1", "image2", "label")
    if split == "validate":
        writing.write_csv(folder / "validate_label.csv", columns, pairs)
    else:
        writing.write_csv(folder / "test_label.csv", columns, [(a, b, 0) for a, b, _ in pairs])
        writing.write_csv(folder / "answers.csv", columns, pairs)


_HELD_OUT: dict[str, BaseReader] = {
    "valid": PairReader("validate/validate_label.csv", same="0", root="validate"),
    "eval": PairReader("test/test_label.csv", root="test", label=None),  # its labels are withheld
}
register_layout(
    "verify",
    Layout(
        shows="faces of people with column face_id, and pairs of faces of others, 6 pictures each",
        write=write_verify,
        counts=("people", "pairs"),
        fixed={"shots": _SHOTS},
        parts={"train": CsvReader("train/train_meta.csv", path_column="file_name", root="train"), **_HELD_OUT},
        columns=frozenset(("id", "path", "file_name", "face_id")),
    ),
)
register_layout(
    "angle",
    Layout(
        shows="faces across angles with columns face_id, expression and camera, and pairs of faces of others, 33 pictures each",
        write=write_angle,
        counts=("people", "pairs"),
        fixed={"shots": _ANGLE_SHOTS},
        parts={
            "train": PatternReader(r"(?P<face_id>\d+)_(?P<expression>E\d+)_(?P<camera>C\d+)_\d+\.png", root="train"),
            **_HELD_OUT,
        },
        columns=frozenset(("id", "path", "face_id", "expression", "camera")),
    ),
)
