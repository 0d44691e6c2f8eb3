"""Test a reader of boxes as a user writes it: plain lists of boxes and names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from base.detection.objects import objects_of, with_object_columns
from base.table import SampleTable
from data_loader.detection.formats.coco import CocoReader
from utils.errors import UserError


def table(boxes: list[Any], names: list[Any]) -> SampleTable:
    ids = [f"{row}.jpg" for row in range(len(boxes))]
    return SampleTable.from_columns(Path("/"), {"id": ids, "path": ids, "boxes": boxes, "names": names})


def test_plain_lists_become_objects() -> None:
    given = table([[[0, 1, 20, 30], [2.5, 3, 9, 9]], []], [["phone", "face"], []])
    objects = objects_of(with_object_columns(given, "MyReader"))
    assert objects.boxes.tolist() == [[0, 1, 20, 30], [2.5, 3, 9, 9]]
    assert objects.labels(["face", "phone"]).tolist() == [1, 0] and objects.counts.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("boxes", "names"),
    [([[1, 2, 3]], ["face"]), ([[1, 2, 3, 4]], ["face", "phone"]), ([[1, 2, 3, float("nan")]], ["face"])],
    ids=["three numbers", "more names", "not a number"],
)
def test_other_lists_are_refused_with_the_sample(boxes: list[Any], names: list[Any]) -> None:
    given = table([[[0, 0, 1, 1]], boxes], [["face"], names])
    with pytest.raises(UserError, match=r"MyReader: 1\.jpg: found boxes .* allowed: a list of \[x1, y1, x2, y2\] in pixels"):
        with_object_columns(given, "MyReader")


def test_boxes_without_names_are_refused() -> None:
    ids = pa.array(["a.jpg"])
    given = SampleTable.from_columns(Path("/"), {"id": ids, "path": ids, "boxes": [[[0, 0, 1, 1]]]})
    with pytest.raises(UserError, match="MyReader: gives the column boxes alone; allowed: boxes and names, or neither"):
        with_object_columns(given, "MyReader")


def test_given_sizes_of_pictures_that_exif_turns_are_not_trusted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 12]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    found = CocoReader("coco.json", trust_sizes=True).read(tmp_path)
    assert (found.values("width", 0), found.values("height", 0)) == (48, 64)
