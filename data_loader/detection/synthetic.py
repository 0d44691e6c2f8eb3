"""Synthetic drivers in their cars, with boxes, in the layout of configs/drivers.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from base.detection.objects import COLUMNS
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.synthetic import writing
from data_loader.synthetic.canvas import Box, Size
from data_loader.synthetic.layouts import Layout, register_layout
from data_loader.synthetic.people import driver_shot, person
from data_loader.synthetic.portraits import draw_driver
from utils import files

_EMPTY_SHARE = 8  # one driver picture in eight shows an empty seat


def write_drivers(
    folder: Path,
    images: Annotated[int, "to train on"] = 400,
    test_images: Annotated[int, "to predict"] = 80,
    seed: int = 0,
    size: Size = (180, 240),
) -> None:
    """Write pictures of drivers in their cars, with boxes; one seat in eight is empty.

    Writes `train/images/`, `train/labels.json` and the same for `test`, where `test/labels.json` has no objects and the truth
    is in `test/answers.json`. Positions are absolute pixels x1, y1, x2, y2, rounded to 0.1. Raises FileExistsError if `folder`
    exists, and ValueError for a number out of range.
    """
    writing.require(images=(images, 1), test_images=(test_images, 1), seed=(seed, 0))
    with files.new_folder(folder) as partial:
        train = _write_driver_images(partial / "train", range(images), seed, size)
        _write_annotations(partial / "train" / "labels.json", train)
        indices = range(images, images + test_images)
        test = _write_driver_images(partial / "test", indices, seed, size)
        _write_annotations(partial / "test" / "answers.json", test)
        withheld = [{**annotation, "objects": []} for annotation in test]
        _write_annotations(partial / "test" / "labels.json", withheld)


def _write_driver_images(folder: Path, indices: range, seed: int, size: Size) -> list[dict[str, Any]]:
    """Write one picture for each index; return the annotations."""
    order = np.random.default_rng([seed, indices.start, 2]).permutation(indices)
    empty = set(order[: len(order) // _EMPTY_SHARE].tolist())
    annotations = []
    for index in indices:
        key = writing.digest(seed, "drivers", index)
        driver = None if index in empty else person(seed, index)
        picture = draw_driver(driver, driver_shot(writing.seed_of(key)), size, writing.seed_of(key))
        writing.write_image(folder / "images" / f"{index:06d}.jpg", picture.image)
        objects = [_object(box) for box in picture.boxes]
        annotations.append({"file_name": f"{index:06d}.jpg", "objects": objects})
    return annotations


def _object(box: Box) -> dict[str, object]:
    corners = (box.x1, box.y1, box.x2, box.y2)
    return {"class": box.name, "position": [round(corner, 1) for corner in corners]}


def _write_annotations(path: Path, annotations: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"annotations": annotations}) + "\n", encoding="utf-8")


register_layout(
    "drivers",
    Layout(
        shows="people in their cars with boxes, one picture each",
        write=write_drivers,
        counts=("images", "test_images"),
        parts={
            "train": CompetitionJsonReader("train/labels.json", root="train/images"),
            "eval": PatternReader(r".*\.jpg", root="test/images"),  # the objects in its labels.json are withheld
        },
        columns=COLUMNS,
    ),
)
