"""Writes synthetic data sets in the layouts of four real ones, so that one config runs on both.

    python -m data_loader.synthetic.writers masks FOLDER --people 200 --seed 1

The files are a pure function of the arguments. A data set appears at its folder only when it is
complete: a writer that is killed leaves nothing there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np

from data_loader.synthetic.canvas import Box, Image, Size
from data_loader.synthetic.people import (
    AGE_RANGES,
    BLOCK,
    CAMERAS,
    EXPRESSIONS,
    MaskState,
    Person,
    Shot,
    angle_grid,
    angle_shot,
    casual_shot,
    driver_shot,
    person,
)
from data_loader.synthetic.portraits import Portrait, draw, draw_driver

__all__ = ["Box", "Person", "Portrait", "Shot", "draw", "main", "person"]
__all__ += ["write_angle", "write_drivers", "write_masks", "write_verify"]

_WORN: MaskState = "worn"
_FRAMES: dict[str, MaskState] = {
    **dict.fromkeys(("mask1", "mask2", "mask3", "mask4", "mask5"), _WORN),
    "incorrect_mask": "incorrect",
    "normal": "not_worn",
}
_MASK_CLASSES: tuple[MaskState, ...] = ("worn", "incorrect", "not_worn")
_ANGLE_IDENTITIES = 1000  # file names of the angle set hold three digits
_EMPTY_SHARE = 8  # one driver picture in so many shows an empty seat


def write_masks(folder: Path, people: int, eval_people: int, seed: int, size: Size = (128, 96)) -> None:
    """Write pictures of people with and without masks, seven a person.

    `train/images/<id>_<gender>_<race>_<age>/` and `train/train.csv` (id, gender, race, age, path);
    `eval/images/` of other people, `eval/info.csv` (ImageID, ans; the answers withheld as 0) and
    `eval/answers.csv`, where ans = 6 mask + 3 gender + age group. Six people show all 18 classes.
    Raises FileExistsError where `folder` exists and ValueError for a number out of range.
    """
    _require(people=(people, 1), eval_people=(eval_people, 1), seed=(seed, 0))
    with _whole(folder) as partial:
        _write_mask_train(partial / "train", people, seed, size)
        first = math.ceil(people / BLOCK) * BLOCK  # a fresh block is dealt every age and gender
        _write_mask_eval(partial / "eval", range(first, first + eval_people), seed, size)


def write_verify(folder: Path, identities: int, shots: int, pairs: int, seed: int, size: Size = (112, 112)) -> None:
    """Write faces for verification: are two pictures of the same person?

    `train/` holds `identities` people with `shots` JPEG pictures each and `train_meta.csv`
    (file_name, face_id). `validate/` and `test/` hold a quarter as many other people each, and
    `pairs` pairs in `validate_label.csv` and `test_label.csv` (image1, image2, label; 0 for the
    same person, 1 for different ones, half of each). The test labels are withheld as 0; the truth
    is in `test/answers.csv`. Raises FileExistsError where `folder` exists and ValueError for a
    number out of range.
    """
    _write_pair_set(folder, _VERIFY, identities, shots, pairs, seed, size)


def write_angle(folder: Path, identities: int, shots: int, pairs: int, seed: int, size: Size = (56, 56)) -> None:
    """As `write_verify`, in PNG, with large angles and expressions.

    Train files are named `<id>_<E01..E03>_<C01..C11>_<k>.png`: the expression (neutral, smile,
    surprise), the camera (yaw from -60 to 60 degrees) and the repetition. At most 1000 identities.
    """
    if identities > _ANGLE_IDENTITIES:
        raise ValueError(f"identities must be at most {_ANGLE_IDENTITIES}, not {identities}")
    _write_pair_set(folder, _ANGLE, identities, shots, pairs, seed, size)


def write_drivers(folder: Path, images: int, test_images: int, seed: int, size: Size = (180, 240)) -> None:
    """Write drivers in their cars, with boxes; one seat in eight is empty.

    `train/images/`, `train/labels.json` and the same for `test`, where the objects are withheld
    and the truth is in `test/answers.json`. Positions are absolute pixels x1, y1, x2, y2, rounded
    to 0.1. Raises FileExistsError where `folder` exists and ValueError for a number out of range.
    """
    _require(images=(images, 1), test_images=(test_images, 1), seed=(seed, 0))
    with _whole(folder) as partial:
        train = _write_driver_images(partial / "train", range(images), seed, size)
        _write_annotations(partial / "train" / "labels.json", train)
        indices = range(images, images + test_images)
        test = _write_driver_images(partial / "test", indices, seed, size)
        _write_annotations(partial / "test" / "answers.json", test)
        withheld = [{**annotation, "objects": []} for annotation in test]
        _write_annotations(partial / "test" / "labels.json", withheld)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line on stderr and exit status 2."""
    parser = _parser()
    arguments = vars(parser.parse_args(argv))
    write, folder = arguments.pop("write"), arguments.pop("folder")
    try:
        write(folder, **arguments)
    except (OSError, ValueError) as error:
        parser.error(str(error))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave without the usage that argparse would print first."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m data_loader.synthetic.writers",
        description="Write a data set of synthetic portraits.",
    )
    layouts = parser.add_subparsers(required=True, metavar="{masks,verify,angle,drivers}")
    masks = _layout(layouts, "masks", write_masks, "people with and without masks")
    masks.add_argument("--people", type=int, default=200, help="to train on")
    masks.add_argument("--eval-people", type=int, default=40, help="to evaluate on")
    for name, write in (("verify", write_verify), ("angle", write_angle)):
        faces = _layout(layouts, name, write, "pairs of faces, the same person or not")
        faces.add_argument("--people", dest="identities", metavar="N", type=int, default=200, help="to train on")
        faces.add_argument("--shots", type=int, default=12, help="pictures of each person")
        faces.add_argument("--pairs", type=int, default=400, help="to validate and to test on")
    drivers = _layout(layouts, "drivers", write_drivers, "drivers in their cars, with boxes")
    drivers.add_argument("--images", type=int, default=400, help="to train on")
    drivers.add_argument("--test-images", type=int, default=80, help="to test on")
    return parser


def _layout(layouts: Any, name: str, write: Callable[..., None], help: str) -> argparse.ArgumentParser:
    """The parser of one layout, with the options that all of them share."""
    parser: argparse.ArgumentParser = layouts.add_parser(name, help=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.set_defaults(write=write)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="must not exist yet")
    parser.add_argument("--seed", type=int, default=0, help="of the population")
    side, unset = ("HEIGHT", "WIDTH"), argparse.SUPPRESS
    parser.add_argument("--size", nargs=2, type=int, metavar=side, default=unset, help="pixels")
    return parser


# --- masks ---


def _write_mask_train(folder: Path, people: int, seed: int, size: Size) -> None:
    rows: list[Sequence[object]] = []
    for index in range(people):
        one = person(seed, index)
        path = f"{one.name}_{one.gender}_{one.race}_{one.age}"
        rows.append((one.name, one.gender, one.race, one.age, path))
        for frame, _, _, image in _mask_pictures(one, seed, size):
            _write_image(folder / "images" / path / f"{frame}.jpg", image)
    _write_csv(folder / "train.csv", ("id", "gender", "race", "age", "path"), rows)


def _write_mask_eval(folder: Path, indices: range, seed: int, size: Size) -> None:
    answers: list[tuple[str, int]] = []
    for one in (person(seed, index) for index in indices):
        for _, mask, key, image in _mask_pictures(one, seed, size):
            _write_image(folder / "images" / f"{key[:40]}.jpg", image)
            answers.append((f"{key[:40]}.jpg", _mask_class(one, mask)))
    answers.sort()  # names are hashes, so this order says nothing about the answers
    _write_csv(folder / "answers.csv", ("ImageID", "ans"), answers)
    _write_csv(folder / "info.csv", ("ImageID", "ans"), [(name, 0) for name, _ in answers])


def _mask_pictures(one: Person, seed: int, size: Size) -> Iterator[tuple[str, MaskState, str, Image]]:
    """The seven pictures of a person: name, state of the mask, digest and image."""
    for frame, mask in _FRAMES.items():
        key = _digest(seed, "masks", one.index, frame)
        yield frame, mask, key, draw(one, casual_shot(_number(key), mask), size, _number(key)).image


def _mask_class(one: Person, mask: MaskState) -> int:
    age = next(group for group, (_, high) in enumerate(AGE_RANGES) if one.age <= high)
    return 6 * _MASK_CLASSES.index(mask) + 3 * (one.gender == "female") + age


# --- verify and angle ---


@dataclass(frozen=True)
class _PairLayout:
    """How a pair set names its train files and poses its people.

    `shot` takes the number of a picture of a person and its seed; `train_name` takes the index of
    the person, the number of the picture and its digest.
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
    identities: int,
    shots: int,
    pairs: int,
    seed: int,
    size: Size,
) -> None:
    _require(identities=(identities, 1), shots=(shots, 2), pairs=(pairs, 2), seed=(seed, 0))
    others = max(2, identities // 4)
    same = others * math.comb(shots, 2)  # pairs of one person there are to draw from
    if pairs > 2 * same:
        raise ValueError(f"pairs must be at most {2 * same} with {others} people, not {pairs}")
    with _whole(folder) as partial:
        train = _write_faces(partial / "train", layout, range(identities), shots, seed, size)
        rows = [(name, index) for index, names in train.items() for name in names]
        _write_csv(partial / "train" / "train_meta.csv", ("file_name", "face_id"), rows)
        for first, split in ((identities, "validate"), (identities + others, "test")):
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
            key = _digest(seed, layout.name, index, number)
            train = folder.name == "train"
            name = layout.train_name(index, number, key) if train else key[:16]
            image = draw(one, layout.shot(number, _number(key)), size, _number(key)).image
            _write_image(folder / f"{name}{layout.suffix}", image)
            named[index].append(f"{name}{layout.suffix}")
    return named


def _pairs(faces: list[list[str]], count: int, rng: np.random.Generator) -> list[tuple[str, str, int]]:
    """`count` pairs without repetition in random order, the first half rounded down the same."""
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
        _write_csv(folder / "validate_label.csv", columns, pairs)
    else:
        _write_csv(folder / "test_label.csv", columns, [(a, b, 0) for a, b, _ in pairs])
        _write_csv(folder / "answers.csv", columns, pairs)


# --- drivers ---


def _write_driver_images(folder: Path, indices: range, seed: int, size: Size) -> list[dict[str, Any]]:
    """Write one picture per index; return its annotation."""
    order = np.random.default_rng([seed, indices.start, 2]).permutation(indices)
    empty = set(order[: len(order) // _EMPTY_SHARE].tolist())
    annotations = []
    for index in indices:
        key = _digest(seed, "drivers", index)
        driver = None if index in empty else person(seed, index)
        picture = draw_driver(driver, driver_shot(_number(key)), size, _number(key))
        _write_image(folder / "images" / f"{index:06d}.jpg", picture.image)
        objects = [_object(box) for box in picture.boxes]
        annotations.append({"file_name": f"{index:06d}.jpg", "objects": objects})
    return annotations


def _object(box: Box) -> dict[str, object]:
    corners = (box.x1, box.y1, box.x2, box.y2)
    return {"class": box.name, "position": [round(corner, 1) for corner in corners]}


def _write_annotations(path: Path, annotations: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"annotations": annotations}) + "\n", encoding="utf-8")


# --- shared ---


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside `folder`, and move it there when the block succeeds."""
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} already exists")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        partial = Path(scratch) / folder.name  # inside, since the scratch folder itself is private
        partial.mkdir()
        yield partial
        partial.rename(folder)


def _require(**numbers: tuple[int, int]) -> None:
    """Refuse a number that is below its least value; both are given by name."""
    for name, (value, least) in numbers.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def _digest(seed: int, *parts: object) -> str:
    """A name of 64 hexadecimal characters for one picture."""
    return hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).hexdigest()


def _number(key: str) -> int:
    """The seed of the picture that has this digest."""
    return int(key[:12], 16)


def _write_image(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
