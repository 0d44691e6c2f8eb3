"""`laurel.py init` recognises every format of boxes, and the config that it writes trains."""

from __future__ import annotations

import json

import pytest

import laurel
from tests.started import init, names, train, write_pictures
from utils.errors import UserError

PYRAMID = "arch.args.pyramid.backbone"
SMALL = {"image_size": [64, 64], "batch_size": 4}


def coco(pictures):
    images = [{"id": n, "file_name": name, "width": 64, "height": 64} for n, name in enumerate(pictures)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [8, 8, 30, 40], "iscrowd": 0} for n in range(len(pictures))
    ]
    kinds = [{"id": number, "name": name} for number, name in enumerate(("nothing", "eye", "mouth"))]
    return json.dumps({"images": images, "annotations": boxes, "categories": kinds})


def test_coco_as_roboflow_writes_it(tmp_path, capsys):
    folder = write_pictures(tmp_path / "faces", [*names("train/{}.jpg", range(8)), *names("valid/v{}.jpg", range(4))], 64)
    (folder / "train/_annotations.coco.json").write_text(coco(names("{}.jpg", range(8))))
    (folder / "valid/_annotations.coco.json").write_text(coco(names("v{}.jpg", range(4))))
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["classes"] == ["eye", "mouth"] and "split" not in args
    assert args["valid_reader"]["args"] == {"file": "valid/_annotations.coco.json", "root": "valid", "invalid": "drop"}
    assert "unused    nothing: no box, left out" in capsys.readouterr().out
    assert train(values, tmp_path, PYRAMID, **SMALL).status == "finished"


def test_yolo_with_its_data_yaml(tmp_path):
    folder = write_pictures(
        tmp_path / "yolo", [*names("images/train/{}.jpg", range(8)), *names("images/val/v{}.jpg", range(4))], 64
    )
    for name in [*names("train/{}.txt", range(8)), *names("val/v{}.txt", range(4))]:
        (folder / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "labels" / name).write_text("0 0.5 0.5 0.4 0.6\n1 0.3 0.3 0.2 0.2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 2\nnames: [eye, mouth]\n")
    for path in (folder / "data.yaml", folder):
        values = init(path)
        args = values["data_loader"]["args"]
        assert args["classes"] == ["eye", "mouth"] and args["valid_reader"]["args"]["labels"] == "labels/val"
        assert args["reader"]["args"]["root"] == "images/train" and args["reader"]["args"]["names"] == "data.yaml"
        (folder / "config.json").unlink(missing_ok=True)
        (tmp_path / "config.json").unlink(missing_ok=True)
    assert train(values, tmp_path, PYRAMID, **SMALL).status == "finished"


def test_voc_whose_boxes_begin_at_zero(tmp_path):
    folder = write_pictures(tmp_path / "voc", names("JPEGImages/{}.jpg", range(12)), 64)
    (folder / "Annotations").mkdir()
    for n in range(12):
        box = f"<bndbox><xmin>{n % 3}</xmin><ymin>1</ymin><xmax>40</xmax><ymax>50</ymax></bndbox>"
        item = f"<object><name>{'eye' if n % 2 else 'mouth'}</name>{box}</object>"
        text = f"<annotation><filename>{n}.jpg</filename>{item}</annotation>"
        (folder / "Annotations" / f"{n}.xml").write_text(text)
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["reader"]["args"] | {"invalid": "drop"} == {
        "annotations": "Annotations", "root": "JPEGImages", "first_pixel": 0, "invalid": "drop",
    }  # fmt: skip
    assert sorted(args["classes"]) == ["eye", "mouth"]
    assert train(values, tmp_path, PYRAMID, **SMALL).status == "finished"


def test_the_json_of_the_competition_with_a_test_folder(tmp_path):
    folder = write_pictures(
        tmp_path / "cars", [*names("train/images/{}.jpg", range(12)), *names("test/images/t{}.jpg", range(3))], 64
    )
    entries = [
        {"file_name": f"{n}.jpg", "objects": [{"class": "eye" if n % 2 else "mouth", "position": [4, 4, 40, 50]}]}
        for n in range(12)
    ]
    (folder / "train/labels.json").write_text(json.dumps({"annotations": entries}))
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["test_reader"] == {"type": "PatternReader", "args": {"root": "test/images", "pattern": ".*"}}
    assert values["submission"] == {"type": "CompetitionJsonSubmission"}
    assert train(values, tmp_path, PYRAMID, **SMALL).status == "finished"


def test_two_formats_in_one_folder_are_named_and_asked_for(tmp_path):
    folder = write_pictures(tmp_path / "both", names("{}.jpg", range(8)), 64)
    (folder / "boxes.json").write_text(coco(names("{}.jpg", range(8))))
    for n in range(8):
        (folder / f"{n}.txt").write_text("0 0.5 0.5 0.4 0.6\n")
    with pytest.raises(
        UserError, match=r"holds several formats: coco \(detection\), yolo \(detection\); say which with --format"
    ):
        laurel.command("init", [str(folder), "-o", str(tmp_path / "c.json")])
    args = init(folder, "--format", "yolo")["data_loader"]["args"]
    assert args["reader"]["args"]["names"] == ["class 0"]
