"""What is wrong with annotations of boxes is named all at once, with file and line; or clipped and dropped, and counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from base.detection.objects import objects_of
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.detection.formats.voc import VocReader
from data_loader.formats.repairs import repair_lines
from tests.detection.objects_folder import (
    FORMATS,
    NAMES,
    make_reader,
    make_table,
    plain,
    write_format,
    write_picture,
)
from utils.errors import UserError

GOOD = [1, 2, 30, 40]


def image(name, *positions, label="phone"):
    return {"file_name": name, "objects": [{"class": label, "position": list(position)} for position in positions]}


@pytest.fixture
def competition(tmp_path):
    """`competition(entries…)` reads a file with an entry a line, from line 2; pictures a.jpg, b.jpg of 60 x 40 are there."""
    for name in ("a.jpg", "b.jpg"):
        write_picture(tmp_path / "images" / name, 40, 60)

    def read(*entries, invalid="error", classes=NAMES):
        text = '{"annotations": [\n' + ",\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
        (tmp_path / "labels.json").write_text(text + "\n]}")
        return CompetitionJsonReader("labels.json", "images", invalid).read_objects(tmp_path, classes)

    return read


def refusal(read, *entries, **options):
    with pytest.raises(UserError) as error:
        read(*entries, **options)
    *lines, last = str(error.value).splitlines()
    assert re.match(rf'{len(lines)} problems?; mend the annotations, or set invalid="drop"', last)
    return [line.partition("labels.json: ")[2] for line in lines]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([-1, 2, 30, 40], "has a box outside the picture [-1, 2, 30, 40]; the picture has 60 x 40 pixels"),
        ([1, 2, 30, 41.1], "has a box outside the picture [1, 2, 30, 41.1]; the picture has 60 x 40 pixels"),
        ([70, 2, 80, 40], "has a box outside the picture [70, 2, 80, 40]; the picture has 60 x 40 pixels"),
        ([1, 2, 1, 40], "has a box of no area [1, 2, 1, 40]"),
        ([30, 2, 1, 40], "has a box with swapped corners [30, 2, 1, 40]"),
        ([float("nan"), 2, 30, 40], "has a box that is not finite [nan, 2, 30, 40]"),
        ([float("-inf"), 2, 30, 40], "has a box that is not finite [-inf, 2, 30, 40]"),
    ],
)
def test_a_wrong_box_is_named_by_line_and_element(competition, box, message):
    lines = refusal(competition, image("a.jpg", GOOD), image("b.jpg", GOOD, box))
    assert lines == [f"line 3: annotations[1].objects[1] (b.jpg): {message}"]


def test_the_line_is_that_of_the_object_where_a_file_has_many_lines(competition):
    text = json.dumps(image("a.jpg", GOOD, [1, 2, 1, 2]), indent=2)
    line = 2 + text.splitlines().index("    {", 4)
    assert refusal(competition, text)[0].startswith(f"line {line}: annotations[0].objects[1]")


def test_an_unknown_class_is_named_with_the_nearest(competition):
    lines = refusal(competition, image("a.jpg", GOOD, label="fone"))
    assert lines == [
        'line 2: annotations[0].objects[0] (a.jpg): is of an unknown class "fone" (did you mean "phone"?); '
        f"allowed: {', '.join(NAMES)}"
    ]


def test_an_image_that_is_missing_or_listed_twice_is_named(competition):
    lines = refusal(competition, image("a.jpg", GOOD), image("c.jpg", GOOD), image("a.jpg"))
    assert re.fullmatch(r"line 3: annotations\[1\] \(c.jpg\): is not there \(looked for in .*images\)", lines[0])
    assert re.fullmatch(r"line 4: annotations\[2\] \(a.jpg\): is listed more than once; first at .*line 2: .*", lines[1])


def test_everything_is_named_at_once(competition):
    lines = refusal(
        competition,
        image("a.jpg", [5, 5, 1, 1], [1, 1, 1, 2], [0, 0, 99, 9], [float("nan")] * 4),
        image("b.jpg", GOOD, label="x"),
        image("c.jpg"),
        '{"file_name": 5, "objects": [{"class": "phone", "position": [1, 2, 3]}, 7]}',
        image("../a.jpg"),
    )
    assert len(lines) == 8


def test_with_drop_boxes_are_clipped_and_left_out_and_counted(competition):
    table = competition(
        image("a.jpg", [-5, 2, 30, 40], GOOD, [5, 5, 1, 1], [70, 0, 80, 10], [float("nan")] * 4, [1, 1, 1, 2]),
        image("b.jpg", GOOD, label="fone"),
        image("c.jpg", GOOD),
        image("a.jpg", GOOD),
        invalid="drop",
    )
    assert table.ids() == ["a.jpg", "b.jpg"]
    assert objects_of(table).boxes.tolist() == [[0, 2, 30, 40], GOOD]
    counts = Counter(table.related["repairs"]["what"].to_pylist())
    assert counts == {
        "boxes clipped to their picture": 1,
        "objects left out that have a box with swapped corners": 1,
        "objects left out that have a box outside the picture": 1,
        "objects left out that have a box that is not finite": 1,
        "objects left out that have a box of no area": 1,
        "objects left out that are of an unknown class": 1,
        "images left out that are not there": 1,
        "images left out that are listed more than once": 1,
    }
    assert "warning: 1 objects left out that are of an unknown class (b.jpg)" in repair_lines(table)


def test_a_box_that_reaches_over_by_a_pixel_is_clipped_and_counted(competition):
    table = competition(image("a.jpg", [-0.4, 2, 61, 40.1]), image("b.jpg", GOOD))
    assert objects_of(table).boxes.tolist() == [[0, 2, 60, 40], GOOD]
    assert repair_lines(table) == ["warning: 1 boxes clipped by at most a pixel (a.jpg)"]


def test_a_class_that_is_written_otherwise_is_found_and_counted(competition):
    table = competition(image("a.jpg", GOOD, label=" Phone"), image("b.jpg", GOOD))
    assert objects_of(table).labels(NAMES).tolist() == [0, 0]
    assert repair_lines(table) == ["warning: 1 objects of class phone, written Phone (a.jpg)"]


def test_an_image_that_is_named_otherwise_is_found_and_keeps_its_id(competition):
    table = competition(image("img\\A.PNG", GOOD), image("/content/b", GOOD))
    assert (table.ids(), table.paths()) == (["img\\A.PNG", "/content/b"], ["a.jpg", "b.jpg"])


def test_what_is_refused_although_drop_is_set_is_not_advised_to_drop(competition):
    with pytest.raises(UserError) as error:
        competition('{"file_name": 5, "objects": []}', image("a.jpg"), invalid="drop")
    assert str(error.value).splitlines()[-1] == "1 problem; mend the annotations"


def test_what_is_no_annotation_at_all_is_not_dropped(competition):
    with pytest.raises(UserError, match=r"annotations\[0\]: file_name: found 5; allowed: text"):
        competition('{"file_name": 5, "objects": []}', image("a.jpg"), invalid="drop")


def test_a_table_of_which_nothing_is_left_is_refused(competition):
    with pytest.raises(UserError, match="no image is left; 1 were listed: 1 images left out that are not there"):
        competition(image("c.jpg"), invalid="drop")


def test_a_file_that_is_no_picture_has_no_size_and_is_left_to_the_decoder(competition, tmp_path):
    (tmp_path / "images/a.jpg").write_bytes(b"nothing")
    table = competition(image("a.jpg", [1, 2, 3000, 4]), image("b.jpg"))
    assert plain(table)["a.jpg"] == {"width": None, "height": None, "names": ["phone"], "boxes": [[1, 2, 3000, 4]]}


def test_half_a_thousand_problems_are_written_out(competition):
    with pytest.raises(UserError) as error:
        competition(image("a.jpg", *[[1, 1, 1, 1]] * 700))
    assert str(error.value).splitlines()[500:] == [
        "… and 200 more",
        '700 problems; mend the annotations, or set invalid="drop" to clip boxes to their pictures and leave out what remains',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: found the end; needed is an object"),
        ("[]", r"line 1, column 1: found a list \[…\]; needed is an object"),
        ("{}", "annotations: is missing or empty"),
        ('{"annotations": []}', "annotations: is missing or empty"),
        ('{"annotations": 5}', 'line 1: annotations: needed is an object with "file_name" and "objects"'),
        ('{"annotations": [\n{"file_name": "a.jpg",}]}', r"line 2, column 23: is no JSON"),
        ('{"annotations": [\n{"file_name": "a", "file_name": "b"}]}', "line 2, column 1: file_name is given twice in one object"),
        (
            '{"annotations": [], "annotations": []}',
            'line 1, column 21: found "annotations"; needed is a key that stands here only',
        ),
        ('{"annotations": []} x', "line 1, column 21: there is more text behind the object"),
        ('{"annotations": [{} {}]}', r'line 1, column 21: found "\{\}\]\}"; needed is a comma or "\]"'),
        ('{"annotations": [' + "[" * 100_000, "is nested too deeply"),
        ('{"annotations": [' + "9" * 5000 + "]}", "holds a number of too many digits"),
        ('{"annotations": [{"file_name": "\\ud800", "objects": []}]}', 'file_name: found "\\\\ud800"; allowed: text'),
        (b"\xff\xfe", r"is not UTF-8 text \(byte 0\)"),
    ],
)
def test_json_that_cannot_be_understood_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "labels.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"labels.json: .*{message}"):
        CompetitionJsonReader("labels.json").read(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_annotations_that_are_not_there_are_named(tmp_path, name):
    write_picture(tmp_path / "images/a.png", 5, 5)
    with pytest.raises(UserError, match=rf"{name}: (cannot be read|is no folder)"):
        make_reader(name).read(tmp_path)


# YOLO ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.1 0.1\n3 0.5 0.5 0.1 0.1", "line 2: found class 3; allowed: 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "line 1: found class -1; allowed: 0 to 2"),
        ("0 0.5 0.5 0.1", "line 1: has 4 fields; needed are 5: class cx cy w h"),
        ("0 0.5 0.5 0.1 x", "line 1: found x; allowed: numbers"),
        ("0 0.5 0.5 0.1 1_0", "line 1: found 1_0; allowed: numbers"),
        ("\n\n0 0.5 nan 0.1 0.1", r"line 3: has a box that is not finite \[27, nan, 33, nan\]"),
        ("0 0.5 0.5 0.1 0", r"line 1: has a box of no area \[27, 20, 33, 20\]"),
        ("0 0.5 0.5 0.1 -0.1", "line 1: has a box with swapped corners"),
        ("0 0.5 0.5 1.1 1", "line 1: has a box outside the picture"),
        ("0 5 5 0.1 1", "line 1: has a box outside the picture"),
        (b"\xff", r"is not UTF-8 text \(byte 0\)"),
    ],
)
def test_a_wrong_line_of_yolo_is_named(tmp_path, text, message):
    write_picture(tmp_path / "images/sub/a.png", 40, 60)
    (tmp_path / "yolo/sub").mkdir(parents=True)
    (tmp_path / "yolo/sub/a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"yolo/sub/a.txt: {message}"):
        make_reader("yolo").read(tmp_path)


def test_a_text_file_for_two_images_is_refused_and_for_none_counted(tmp_path):
    for name in ("a.png", "b.png", "b.jpg"):
        write_picture(tmp_path / "images" / name, 40, 60)
    (tmp_path / "yolo").mkdir()
    for name in ("b.txt", "c.txt", "classes.txt"):
        (tmp_path / "yolo" / name).touch()
    with pytest.raises(UserError) as error:
        make_reader("yolo").read(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0].endswith("yolo/b.txt: belongs to two images, b.jpg and b.png; rename one")
    assert lines[1:] == ["1 problem; mend the annotations"]
    (tmp_path / "images/b.png").unlink()
    assert "warning: 1 text files without a picture left out (c.txt)" in repair_lines(make_reader("yolo").read(tmp_path))


# VOC ----------------------------------------------------------------------------------------------------------------

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><filename>a.png</filename>\n<object>", "line 2: is no XML"),
        ("<!DOCTYPE annotation [<!ENTITY x 'y'>]>\n<annotation/>", "line 1: declares an entity in its document type"),
        ("<list/>", "line 1: found <list>; needed is <annotation>"),
        (
            "<annotation><filename>a.png</filename>\n<object><name>phone</name></object></annotation>",
            "line 2: the object has no <bnd",
        ),
        (
            f"<annotation><filename>a.png</filename>\n{OBJECT.format('phone', 'x')}</annotation>",
            "line 2: found <xmin> x; allowed: num",
        ),
        (
            f"<annotation><filename>a.png</filename>\n{OBJECT.format('phone', 50)}</annotation>",
            "line 2: a.png: has a box with swapped",
        ),
        (
            f"<annotation><filename>a.png</filename>\n\n{OBJECT.format('phone', 0)}</annotation>",
            "line 3: a.png: has a box outside",
        ),
        (
            f"<annotation><filename>a.png</filename>\n{OBJECT.format('phone', 'nan')}</annotation>",
            "line 2: a.png: has a box that is not",
        ),
        ("<annotation><filename>a.png</filename><filename>b.png</filename></annotation>", "line 1: <filename> is given twice"),
        ("", "line 1: is no XML"),
    ],
)
def test_wrong_xml_is_named(tmp_path, text, message):
    write_picture(tmp_path / "images/a.png", 40, 60)
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/a.xml").write_text(text)
    with pytest.raises(UserError, match=f"voc/a.xml: {message}"):
        make_reader("voc").read(tmp_path)


def test_entities_of_xml_do_not_explode(tmp_path):
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/a.xml").write_text(f"<!DOCTYPE annotation [<!ENTITY l0 'ha'>{laughs}]><annotation>&l9;</annotation>")
    with pytest.raises(UserError, match="declares an entity"):
        VocReader("voc").read(tmp_path)


# COCO ---------------------------------------------------------------------------------------------------------------

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    "categories": [{"id": 1, "name": "phone"}],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"annotations": [{"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]}]},
            "annotations: no image_id is the id of an image",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]}]},
            r"annotations\[0\]: category_id 9 is in no list",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, -3, 4]}]},
            r"annotations\[0\] \(a.png\): .*swapped corners",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 1, "bbox": "x"}]},
            r"annotations\[0\]: bbox: found \"x\"; allowed: a list of 4",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 2}]},
            r"annotations\[0\]: iscrowd: allowed are 0 and 1",
        ),
        ({"images": COCO["images"] * 2}, r"images\[1\]: id 1 is given twice"),
        (
            {"images": [{"id": 1, "file_name": "a.png", "width": -60, "height": 40}]},
            r"images\[0\]: width: found -60; allowed: a whole",
        ),
        ({"images": [{"id": 1, "file_name": "a.png", "width": 2**40, "height": 1}]}, r"images\[0\]: width and height: too large"),
        (
            {"categories": [*COCO["categories"], {"id": "1", "name": "cigar"}]},
            r"categories\[1\]: id 1 is given twice, for phone and cigar",
        ),
        ({"categories": []}, "categories: missing or empty"),
        ({"images": 5}, "images: needed is a list of objects"),
    ],
)
def test_wrong_coco_is_named(tmp_path, changes, message):
    write_picture(tmp_path / "images/a.png", 40, 60)
    (tmp_path / "coco").write_text(json.dumps(COCO | changes))
    with pytest.raises(UserError, match=f"coco: (line 1: )?{message}"):
        make_reader("coco").read(tmp_path)


# Mutations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("invalid", ["error", "drop"])
def test_mutated_annotations_are_read_or_refused_by_file_and_line(tmp_path, name, invalid):
    made = {
        "a.png": (40, 60, [("phone", [1, 2, 30, 40]), ("cigar", [0.5, 1, 2, 3])]),
        "b.png": (40, 60, [('a "b" & <c>', [1.25, 2, 3, 4])]),
        "c.png": (40, 60, []),
    }
    for path, (height, width, _) in made.items():
        write_picture(tmp_path / "images" / path, height, width)
    place = write_format(make_table(tmp_path / "images", made), name, tmp_path)
    paths = sorted(place.iterdir()) if place.is_dir() else [place]
    good = {path: path.read_bytes() for path in paths}
    random, refused = np.random.default_rng([*name.encode()]), 0
    for turn in range(125):
        path = paths[turn % len(paths)]
        path.write_bytes(mutated(good[path], random))
        try:
            make_reader(name, invalid).read_objects(tmp_path, NAMES)
        except UserError as error:
            refused += 1
            assert_one_line_each(str(error), tmp_path)
        path.write_bytes(good[path])
    assert refused > (15 if invalid == "drop" else 40)


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """A few bytes changed, cut out, moved or repeated; or a word replaced."""
    words = [
        b"nan",
        b"-1",
        b"1e999",
        b"null",
        b"[]",
        b"{}",
        b'"',
        b"<",
        b"\n",
        b"99999999999999999999",
        b"\\ud800",
        b"true",
        b"../x",
    ]
    changed = bytearray(content)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(0, len(changed) + 1))
        length = int(random.integers(0, 12))
        kind = random.integers(0, 4)
        if kind == 0:
            changed[place : place + length % 3] = random.bytes(length % 3)
        elif kind == 1:
            changed[place : place + length] = b""
        elif kind == 2:
            changed[place:place] = changed[place : place + length]
        else:
            changed[place : place + length] = words[int(random.integers(0, len(words)))]
    return bytes(changed)


def assert_one_line_each(text: str, folder: Path) -> None:
    for line in text.splitlines():
        assert line.startswith(f"{folder}/") or re.match(r"\d+ problems?; |… and", line), line
        assert line.isprintable()


def test_a_picture_is_found_by_the_name_of_its_xml(tmp_path):
    write_picture(tmp_path / "images/a.png", 40, 60)
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/a.xml").write_text(f"<annotation><filename>old.jpg</filename>{OBJECT.format('phone', 10)}</annotation>")
    table = make_reader("voc").read(tmp_path)
    assert (table.ids(), table.paths()) == (["a.png"], ["a.png"])
    assert repair_lines(table) == ["warning: 1 paths found by the name of their annotation (old.jpg)"]
