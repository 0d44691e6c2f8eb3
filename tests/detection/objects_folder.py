"""Annotated pictures in every format, and tables of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from base.detection.objects import object_columns
from base.table import SampleTable
from data_loader.detection.formats import coco, competition_json, voc, yolo
from data_loader.detection.formats.object_reader import ObjectReader

NAMES = ["phone", "cigar", 'a "b" & <c>']
FORMATS = ("competition", "yolo", "voc", "coco")


def write_picture(path: Path, height: int, width: int) -> None:
    """A black picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def make_table(root: Path, pictures: dict[str, tuple[int, int, list[tuple[str, list[float]]]]]) -> SampleTable:
    """pictures: path -> height, width, (class name, xyxy in pixels) of each object."""
    objects = [item for _, _, items in pictures.values() for item in items]
    boxes = np.array([box for _, box in objects], float).reshape(-1, 4)
    codes = np.array([NAMES.index(name) for name, _ in objects], int)
    counts = np.array([len(items) for _, _, items in pictures.values()])
    sizes = {"width": [w for _, w, _ in pictures.values()], "height": [h for h, _, _ in pictures.values()]}
    columns = {name: pa.array(values, pa.int32()) for name, values in sizes.items()}
    ids = pa.array(list(pictures), pa.string())
    return SampleTable(root, pa.table({"id": ids, "path": ids, **columns, **object_columns(boxes, codes, NAMES, counts)}))


def write_format(table: SampleTable, name: str, folder: Path) -> Path:
    """The annotations in a format, in a file or folder below `folder`."""
    place = folder / name
    if name in ("yolo", "voc"):
        place.mkdir()
    if name == "competition":
        competition_json.write(table, place)
    elif name == "yolo":
        yolo.write(table, place, NAMES)
    elif name == "voc":
        voc.write(table, place)
    else:
        coco.write(table, place, NAMES)
    return place


def make_reader(name: str, invalid: str = "error") -> ObjectReader:
    """The reader of what `write_format` wrote; pictures in `images`."""
    made: dict[str, ObjectReader] = {
        "competition": competition_json.CompetitionJsonReader("competition", "images", invalid),
        "yolo": yolo.YoloReader("yolo", NAMES, "images", invalid),
        "voc": voc.VocReader("voc", "images", 1, invalid),
        "coco": coco.CocoReader("coco", "images", invalid),
    }
    return made[name]


def plain(table: SampleTable) -> dict[str, object]:
    """id -> width, height, names and boxes, as plain values."""
    rows = table.columns.select(["id", "width", "height", "names", "boxes"]).to_pylist()
    return {row.pop("id"): row for row in rows}
