"""Synthetic pictures of people with and without masks, in the layout of configs/masks.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.synthetic import writing
from data_loader.synthetic.canvas import Image, Size
from data_loader.synthetic.layouts import Layout, register_layout
from data_loader.synthetic.people import AGE_RANGES, BLOCK, MaskState, Person, casual_shot, person
from data_loader.synthetic.portraits import draw
from utils import files

PERSON = r"(?P<person>[^_/]+)_(?P<gender>male|female)_(?P<race>[^_/]+)_(?P<age>\d+)"
_WORN: MaskState = "worn"
_FRAMES: dict[str, MaskState] = {
    **dict.fromkeys(("mask1", "mask2", "mask3", "mask4", "mask5"), _WORN),
    "incorrect_mask": "incorrect",
    "normal": "not_worn",
}
_MASK_CLASSES: tuple[MaskState, ...] = ("worn", "incorrect", "not_worn")


def write_masks(
    folder: Path,
    people: Annotated[int, "to train on"] = 200,
    eval_people: Annotated[int, "to predict"] = 40,
    seed: int = 0,
    size: Size = (128, 96),
) -> None:
    """Write pictures of people with and without masks, seven pictures of each person.

    Writes `train/images/<id>_<gender>_<race>_<age>/` and `train/train.csv` (id, gender, race, age, path); `eval/images/` of
    other people, `eval/info.csv` (ImageID, ans; all answers are 0) and `eval/answers.csv` with the true answers, ans = 6 mask
    + 3 gender + age group. Six people show all 18 classes. Raises FileExistsError if `folder` exists, and ValueError for a
    number out of range.
    """
    writing.require(people=(people, 1), eval_people=(eval_people, 1), seed=(seed, 0))
    with files.new_folder(folder) as partial:
        _write_mask_train(partial / "train", people, seed, size)
        first = math.ceil(people / BLOCK) * BLOCK  # every new block of people has every age group and gender
        _write_mask_eval(partial / "eval", range(first, first + eval_people), seed, size)


def _write_mask_train(folder: Path, people: int, seed: int, size: Size) -> None:
    rows: list[Sequence[object]] = []
    for index in range(people):
        one = person(seed, index)
        path = f"{one.name}_{one.gender}_{one.race}_{one.age}"
        rows.append((one.name, one.gender, one.race, one.age, path))
        for frame, _, _, image in _mask_pictures(one, seed, size):
            writing.write_image(folder / "images" / path / f"{frame}.jpg", image)
    writing.write_csv(folder / "train.csv", ("id", "gender", "race", "age", "path"), rows)


def _write_mask_eval(folder: Path, indices: range, seed: int, size: Size) -> None:
    answers: list[tuple[str, int]] = []
    for one in (person(seed, index) for index in indices):
        for _, mask, key, image in _mask_pictures(one, seed, size):
            writing.write_image(folder / "images" / f"{key[:40]}.jpg", image)
            answers.append((f"{key[:40]}.jpg", _mask_class(one, mask)))
    answers.sort()  # names are hashes, so the order does not reveal the answers
    writing.write_csv(folder / "answers.csv", ("ImageID", "ans"), answers)
    writing.write_csv(folder / "info.csv", ("ImageID", "ans"), [(name, 0) for name, _ in answers])


def _mask_pictures(one: Person, seed: int, size: Size) -> Iterator[tuple[str, MaskState, str, Image]]:
    """Yield the seven pictures of a person: name, state of the mask, digest and image."""
    for frame, mask in _FRAMES.items():
        key = writing.digest(seed, "masks", one.index, frame)
        yield frame, mask, key, draw(one, casual_shot(writing.seed_of(key), mask), size, writing.seed_of(key)).image


def _mask_class(one: Person, mask: MaskState) -> int:
    age = next(group for group, (_, high) in enumerate(AGE_RANGES) if one.age <= high)
    return 6 * _MASK_CLASSES.index(mask) + 3 * (one.gender == "female") + age


register_layout(
    "masks",
    Layout(
        shows="a folder per person with columns person, gender, race, age and shot, 7 pictures each",
        write=write_masks,
        counts=("people", "eval_people"),
        parts={
            "train": PatternReader(PERSON + r"/(?P<shot>mask|incorrect_mask|normal)\d*\.jpg", root="train/images"),
            "eval": CsvReader("eval/info.csv", path_column="ImageID", root="eval/images"),
        },
        columns=frozenset(("id", "path", "person", "gender", "race", "age", "shot")),
    ),
)
