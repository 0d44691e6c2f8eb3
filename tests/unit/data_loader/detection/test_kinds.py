"""Annotations as tools write them are read as tolerantly as their tools do, and every kind of repair is told."""

from __future__ import annotations

import json

import pytest

from base.detection.objects import objects_of
from data_loader.detection.formats.coco import CocoReader
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.detection.formats.voc import VocReader
from data_loader.detection.formats.yolo import YoloReader, read_names
from data_loader.formats.repairs import repair_lines
from tests.detection.objects_folder import write_picture
from utils.errors import UserError

OTHER_SIZE = ["1 images annotated with another size than they have; theirs counts"]
BOX = [12, 12, 24, 20]  # in a picture of 60 x 40


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "images/a.png", 40, 60)
    return tmp_path


def told(table):
    return [line.removeprefix("warning: ").partition(" (")[0] for line in repair_lines(table)]


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("0 0.3 0.4 0.2 0.2", []),
        ("0\t0.3  0.4 0.2\t0.2  \r", []),
        ("0.0 0.3 0.4 0.2 0.2", ["1 classes written as 0.0, read as 0"]),
        ("0 0.3 0.4 0.2 0.2 0.93", ["1 confidences behind a box, not read"]),
        ("0 0.2 0.3 0.4 0.3 0.4 0.5 0.2 0.5", ["1 polygons read as the box around them"]),
        ("0 0.3 0.4 0.2 0.2 0.3 0.4 2", ["1 keypoints behind a box, not read"]),
    ],
)
def test_lines_of_yolo(folder, line, kinds):
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text(f"{line}\n")
    table = YoloReader("labels", ["phone"], "images").read_objects(folder, ["phone"])
    assert objects_of(table).boxes.tolist() == [BOX] and told(table) == kinds


def test_a_label_beyond_the_names_is_left_out_if_so_asked(folder):
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.3 0.4 0.2 0.2\n7 0.3 0.4 0.2 0.2\n")
    table = YoloReader("labels", ["phone"], "images", invalid="drop").read(folder)
    assert objects_of(table).boxes.tolist() == [BOX] and told(table) == ["1 objects that cannot be read left out"]


@pytest.mark.parametrize(("unannotated", "ids"), [("background", ["a.png", "b.png"]), ("leave_out", ["a.png"])])
def test_pictures_without_a_text_file_are_counted(folder, unannotated, ids):
    write_picture(folder / "images/b.png", 40, 60)
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("")
    table = YoloReader("labels", ["phone"], "images", unannotated=unannotated).read(folder)
    assert table.ids() == ids and told(table)[0].startswith("1 pictures without an annotation")


def test_pictures_that_a_list_does_not_name_may_be_background(folder):
    write_picture(folder / "images/b.png", 40, 60)
    (folder / "list.json").write_text('{"annotations": [{"file_name": "a.png", "objects": []}]}')
    assert CompetitionJsonReader("list.json", "images").read(folder).ids() == ["a.png"]
    table = CompetitionJsonReader("list.json", "images", unannotated="background").read(folder)
    assert table.ids() == ["a.png", "b.png"] and told(table) == ["1 pictures without an annotation taken as background"]


def test_text_files_that_belong_to_no_picture_at_all_are_refused(folder):
    (folder / "labels").mkdir()
    (folder / "labels/x.txt").write_text("0 0.3 0.4 0.2 0.2\n")
    with pytest.raises(UserError, match=r"labels: none of its 1 text files \(x.txt\) is named like an image in"):
        YoloReader("labels", ["phone"], "images").read(folder)


@pytest.mark.parametrize("names", ["[phone, cigar]", "{0: phone, 1: cigar}", '{"1": cigar, "0": phone}', "\n- phone\n- cigar"])
def test_names_of_a_data_yaml(folder, names):
    (folder / "data.yaml").write_text(f"train: ../images\nnc: 2\nnames: {names}\n")
    assert read_names(folder / "data.yaml") == ["phone", "cigar"]
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("1 0.3 0.4 0.2 0.2\n")
    table = YoloReader("labels", "data.yaml", "images").read_objects(folder, ["phone", "cigar"])
    assert objects_of(table).labels(["phone", "cigar"]).tolist() == [1]


IMAGE = {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
OBJECT = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [12, 12, 12, 8]}
POLYGON = [[12, 12, 24, 12, 24, 20, 12, 20]]
RUNS = {"size": [40, 60], "counts": [12 * 40 + 12, *[8, 32] * 11, 8]}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"annotations": [OBJECT | {"image_id": 1.0, "category_id": "1"}]}, []),
        ({"images": [IMAGE | {"id": "x-1"}], "annotations": [OBJECT | {"image_id": "x-1"}]}, []),
        ({"images": [IMAGE | {"width": "60", "height": 40.0}]}, ["1 numbers written as texts"]),
        (
            {"images": [IMAGE | {"width": 40, "height": 60}]},
            OTHER_SIZE,
        ),
        ({"images": IMAGE}, ["1 lists written as an object"]),
        ({"annotations": [OBJECT | {"iscrowd": None}]}, []),
        ({"annotations": [OBJECT | {"bbox": ["12", "12", "12", "8"]}]}, ["1 numbers written as texts"]),
        ({"annotations": [OBJECT, {**OBJECT, "bbox": []}]}, ["1 annotations without a bbox left out"]),
        ({"annotations": [OBJECT, {**OBJECT, "image_id": 7}]}, ["1 annotations of no image in the file left out"]),
        (
            {"annotations": [OBJECT | {"bbox": None, "segmentation": POLYGON}]},
            ["1 annotations without a bbox read as the box around their segmentation"],
        ),
        (
            {"annotations": [OBJECT | {"bbox": [], "segmentation": RUNS}]},
            ["1 annotations without a bbox read as the box around their segmentation"],
        ),
        (
            {"annotations": [OBJECT, {**OBJECT, "bbox": [], "iscrowd": 1}]},
            ["1 crowd regions left out, which are no boxes of one object"],
        ),
        ({"categories": [{"id": 0, "name": "phone"}, {"id": 1, "name": "phone"}]}, ["1 categories that are named twice"]),
        ({"categories": [{"id": 1, "name": "Phone"}]}, ["1 objects of class phone, written Phone"]),
    ],
)
def test_files_of_coco(folder, changes, kinds):
    lists = {"images": [IMAGE], "annotations": [OBJECT], "categories": [{"id": 1, "name": "phone"}]}
    (folder / "coco.json").write_text(json.dumps(lists | changes))
    table = CocoReader("coco.json", "images").read_objects(folder, ["phone"])
    assert objects_of(table).boxes.tolist() == [BOX] and told(table) == kinds


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"shapes": [], "imagePath": "a.png"}', "looks like LabelMe, a file for each picture; convert it to COCO"),
        ('{"a.png12": {"filename": "a.png", "regions": [{"shape_attributes": {}}]}}', "looks like VGG Image Annotator"),
        ('[{"filename": "a.png", "annot_A": {}}]', "looks like AIHub's records"),
        ('[{"images": []}]', "line 1, column 1: found a list .*; needed is an object"),
    ],
)
def test_other_formats_are_named_with_a_way(folder, content, message):
    (folder / "coco.json").write_text(content)
    with pytest.raises(UserError, match=f"coco.json: {message}"):
        CocoReader("coco.json", "images").read(folder)


CORNERS = "<bndbox><xmin>13</xmin><ymin>13</ymin><xmax>24</xmax><ymax>20</ymax></bndbox>"
SHAPE = "<polygon><x1>13</x1><y1>13</y1><x2>24</x2><y2>13</y2><x3>20</x3><y3>20</y3></polygon>"


def xml(before="", size="<width>60</width><height>40</height>", name="phone", shape=CORNERS, more=""):
    return (
        f"{before}<annotation><filename>a.png</filename><size>{size}</size><object><name>{name}</name>{shape}</object>{more}"
        "</annotation>"
    )


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (xml(), []),
        (xml('<?xml version="1.0"?><!DOCTYPE annotation SYSTEM "voc.dtd">'), []),
        (xml(size="<width>60.0</width><height>40.0</height>"), []),
        (
            xml(size="<width>40</width><height>60</height>"),
            OTHER_SIZE,
        ),
        (xml(size="<width>wide</width><height/>"), ["1 sizes that are no two numbers, not read"]),
        (xml(more="<source>A & B</source>"), ["1 characters & that are no &amp;"]),
        (xml(shape=SHAPE), ["1 polygons read as the box around them"]),
        (xml(name=" Phone "), ["1 objects of class phone, written Phone"]),
        (xml('<?xml version="1.0" encoding="euc-kr"?>', more="<source>\uc0ac\ub78c</source>").encode("euc-kr"), []),
        (xml('<?xml version="1.0" encoding="gb2312"?>', more="<source>\u4eba</source>").encode("gb2312"), []),
        (xml('<?xml version="1.0" encoding="utf-16"?>').encode("utf-16"), []),
        (xml(more="<source>\uc0ac\ub78c</source>").encode("cp949"), ["1 files read as cp949"]),
    ],
)
def test_files_of_voc(folder, content, kinds):
    (folder / "voc").mkdir()
    (folder / "voc/a.xml").write_bytes(content if isinstance(content, bytes) else content.encode())
    table = VocReader("voc", "images").read_objects(folder, ["phone"])
    assert objects_of(table).boxes.tolist() == [BOX] and told(table) == kinds


def test_a_box_that_begins_at_pixel_0_names_the_convention(folder):
    (folder / "voc").mkdir()
    (folder / "voc/a.xml").write_text(xml(shape=CORNERS.replace(">13<", ">0<")))
    with pytest.raises(UserError, match="xmin or ymin is 0, so these files .* from 0: set reader.args.first_pixel to 0"):
        VocReader("voc", "images").read(folder)
    assert objects_of(VocReader("voc", "images", first_pixel=0).read(folder)).boxes.tolist() == [[0, 0, 24, 20]]
