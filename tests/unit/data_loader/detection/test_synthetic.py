"""Facts about the synthetic drivers and their boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_loader.detection import synthetic
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.synthetic.reader import SyntheticReader
from utils.errors import UserError


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "drivers"
    synthetic.write_drivers(folder, images=24, test_images=8, seed=1, size=(90, 120))
    return folder


def listing(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    return found


def test_every_driver_picture_is_annotated(drivers: Path) -> None:
    for split, labels in (("train", "labels"), ("test", "labels"), ("test", "answers")):
        pictures = sorted(path.name for path in (drivers / split / "images").iterdir())
        listed = listing(drivers / split / f"{labels}.json")
        assert [annotation["file_name"] for annotation in listed] == pictures


def test_driver_positions_are_inside_and_rounded_to_a_tenth(drivers: Path) -> None:
    for annotation in listing(drivers / "train" / "labels.json"):
        for found in annotation["objects"]:
            x1, y1, x2, y2 = found["position"]
            assert 0 <= x1 < x2 <= 120 and 0 <= y1 < y2 <= 90
            assert [round(side, 1) for side in found["position"]] == found["position"]


def test_drivers_show_all_seven_classes(drivers: Path) -> None:
    listed = listing(drivers / "train" / "labels.json")
    eyes_and_mouth = {"eye_opened", "eye_closed", "mouth_opened", "mouth_closed"}
    seen = {found["class"] for annotation in listed for found in annotation["objects"]}
    assert seen == {"face", "phone", "cigar"} | eyes_and_mouth


def test_one_driver_picture_in_eight_shows_nobody(drivers: Path) -> None:
    listed = listing(drivers / "train" / "labels.json")
    assert sum(not annotation["objects"] for annotation in listed) == 3


def test_the_test_labels_of_drivers_are_withheld(drivers: Path) -> None:
    labels = listing(drivers / "test" / "labels.json")
    assert all(annotation["objects"] == [] for annotation in labels)
    assert any(annotation["objects"] for annotation in listing(drivers / "test" / "answers.json"))


def test_drivers_are_drawn_and_read_with_their_boxes(tmp_path: Path) -> None:
    reader = SyntheticReader("drivers", people=6, eval_people=2, size=(64, 80))
    table = reader.read(tmp_path / "drivers")
    assert len(table) == 6 and sum(len(boxes) for boxes in table.columns["boxes"].to_pylist()) > 5
    assert reader.read(tmp_path / "drivers").columns.equals(table.columns)
    others = SyntheticReader("drivers", part="eval", people=6, eval_people=2, size=(64, 80)).read(tmp_path / "drivers")
    assert len(others) == 2 and "boxes" not in others.names


def test_the_reader_that_delegates_refuses_unknown_classes(tmp_path: Path) -> None:
    reader = SyntheticReader("drivers", people=4, eval_people=2, size=(64, 80)).delegate(tmp_path / "drivers")
    assert isinstance(reader, ObjectReader)
    with pytest.raises(UserError, match='labels.json: line 1: .* is of an unknown class "'):
        reader.read_objects(tmp_path / "drivers", ["fone"])
