"""Boxes in four formats: what one writes, every other gives back to a millionth of a pixel."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import laurel
from base.detection.objects import objects_of
from data_loader.detection.formats import yolo
from data_loader.detection.formats.voc import VocReader
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

SIDES = {"a.jpg": (37, 53), "sub/b.png": (480, 641), "c.jpg": (1, 3001)}


@st.composite
def pictures(draw):
    """Boxes on a grid of a millionth of a pixel, at least a thousandth wide, some of which touch the border."""
    made = {}
    for name, (height, width) in SIDES.items():
        items = []
        for _ in range(draw(st.integers(0, 4))):
            corners = []
            for side in (width, height):
                low = draw(st.one_of(st.just(0), st.integers(0, side * 10**6 - 1000)))
                high = draw(st.one_of(st.just(side * 10**6), st.integers(low + 1000, side * 10**6)))
                corners.append((low / 10**6, high / 10**6))
            (x1, x2), (y1, y2) = corners
            items.append((draw(st.sampled_from(NAMES)), [x1, y1, x2, y2]))
        made[name] = (height, width, items)
    return made


@pytest.fixture(scope="module")
def images():
    with tempfile.TemporaryDirectory() as folder:
        for name, (height, width) in SIDES.items():
            write_picture(Path(folder) / name, height, width)
        yield Path(folder)


def after(table, name, images):
    """The table as it comes back from a format."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images").symlink_to(images)
        write_format(table, name, Path(folder))
        return make_reader(name).read(Path(folder))


@given(pictures())
@settings(max_examples=40, deadline=None)
def test_a_table_comes_back_from_every_format_and_through_all_of_them_exactly(images, made):
    table = make_table(images, made)
    through_all = table
    for name in FORMATS:
        assert plain(after(table, name, images)) == plain(table)
        through_all = after(through_all, name, images)
    assert plain(through_all) == plain(table)


def test_voc_counts_pixels_from_1_unless_told_otherwise(tmp_path):
    write_picture(tmp_path / "images/a.png", 10, 10)
    (tmp_path / "voc").mkdir()
    corners = "<bndbox><xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>5</ymax></bndbox>"
    (tmp_path / "voc/a.xml").write_text(
        f"<annotation><filename>a.png</filename><object><name>phone</name>{corners}</object></annotation>"
    )
    assert objects_of(VocReader("voc", "images").read(tmp_path)).boxes.tolist() == [[0, 2, 10, 5]]
    assert objects_of(VocReader("voc", "images", first_pixel=0).read(tmp_path)).boxes.tolist() == [[1, 3, 10, 5]]


def test_parts_of_a_voc_object_are_not_the_object(tmp_path):
    write_picture(tmp_path / "images/a.png", 10, 10)
    (tmp_path / "voc").mkdir()
    box = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    part = f"<part><name>head</name>{box.format(4)}</part>"
    text = f"<annotation><filename>a.png</filename><object><name>phone</name>{box.format(2)}{part}</object></annotation>"
    (tmp_path / "voc/a.xml").write_text(text)
    table = VocReader("voc", "images").read(tmp_path)
    assert objects_of(table).boxes.tolist() == [[1, 1, 5, 6]]


def test_yolo_is_cxcywh_in_shares_of_the_picture(tmp_path):
    write_picture(tmp_path / "images/a.png", 100, 200)
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/a.txt").write_text("1 0.5 0.25 0.1 0.2\n")
    table = make_reader("yolo").read(tmp_path)
    assert plain(table)["a.png"] == {"width": 200, "height": 100, "names": ["cigar"], "boxes": [[90.0, 15.0, 110.0, 35.0]]}


def test_a_yolo_picture_without_a_text_file_has_no_objects(tmp_path):
    write_picture(tmp_path / "images/a.png", 10, 10)
    (tmp_path / "yolo").mkdir()
    assert plain(make_reader("yolo").read(tmp_path))["a.png"]["boxes"] == []


def test_six_decimals_that_put_a_box_beyond_the_border_are_no_mistake(tmp_path):
    write_picture(tmp_path / "images/a.png", 7, 4999)
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/a.txt").write_text("0 0.833334 0.5 0.333333 1\n")
    assert objects_of(make_reader("yolo").read(tmp_path)).boxes[0, 2] == 4999


def test_coco_is_xywh_and_keeps_the_numbers_of_the_images(tmp_path):
    write_picture(tmp_path / "images/a.png", 10, 20)
    coco = {
        "annotations": [{"id": 1, "image_id": 77, "category_id": 5, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 5, "name": "phone"}],
        "images": [{"id": 77, "file_name": "a.png"}],
    }
    (tmp_path / "coco").write_text(json.dumps(coco))
    table = make_reader("coco").read(tmp_path)
    assert objects_of(table).boxes.tolist() == [[1, 2, 4, 6]]
    assert table.numbers("image_id").tolist() == [77]


def test_a_crowd_is_left_out_and_counted(tmp_path):
    write_picture(tmp_path / "images/a.png", 10, 20)
    crowd = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1}
    lists = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "phone"}], "annotations": [crowd]}
    (tmp_path / "coco").write_text(json.dumps(lists))
    table = make_reader("coco").read(tmp_path)
    assert len(objects_of(table).boxes) == 0
    assert table.related["repairs"]["what"].to_pylist() == ["crowd regions left out, which are no boxes of one object"]


def test_a_file_of_names_has_each_once(tmp_path):
    (tmp_path / "names.txt").write_text("phone\ncigar\n\n")
    assert yolo.read_names(tmp_path / "names.txt") == ["phone", "cigar"]
    (tmp_path / "names.txt").write_text("phone\n\nphone\n")
    with pytest.raises(UserError, match=r"names.txt: line 2, line 3; needed is a class name a line, each once"):
        yolo.read_names(tmp_path / "names.txt")


def test_a_class_without_a_number_is_not_written_to_yolo(tmp_path):
    table = make_table(tmp_path, {"a.png": (10, 10, [("cigar", [1, 1, 2, 2])])})
    with pytest.raises(UserError, match=r'cigar: classes without a number \(did you mean "cigars"\?\); the names are: cigars'):
        yolo.write(table, tmp_path, ["cigars"])
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_flat_in_memory():
    made = {f"{row}.jpg": (100, 100, [("phone", [1, 2, 3, 4])] * 5) for row in range(1000)}
    table = make_table(Path(), made)
    assert table.columns.nbytes < 1000 * (5 * (32 + 4) + 50)


def test_objects_follow_the_rows_that_are_taken():
    made = {"a.jpg": (9, 9, [("phone", [1, 2, 3, 4])]), "b.jpg": (9, 9, []), "c.jpg": (9, 9, [("cigar", [0, 0, 1, 1])] * 2)}
    objects = objects_of(make_table(Path(), made).take([2, 1, 0]))
    assert objects.counts.tolist() == [2, 0, 1] and objects.owners.tolist() == [0, 0, 2]
    assert objects.labels(["cigar", "phone"]).tolist() == [0, 0, 1]
    assert objects.labels(["phone"]).tolist() == [-1, -1, 0]
    np.testing.assert_array_equal(objects.boxes[2], [1, 2, 3, 4])


# The command --------------------------------------------------------------------------------------------------------


def command(verb, *words):
    return laurel.command(verb, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """Three pictures in the competition's format, and a file of names."""
    made = {
        "a.jpg": (40, 60, [("phone", [1, 2, 30, 40]), ("cigar", [0.5, 1, 2, 3])]),
        "b.jpg": (40, 60, [("cigar", [1, 2, 3, 4])]),
        "c.jpg": (40, 60, []),
    }
    for name, (height, width, _) in made.items():
        write_picture(tmp_path / "images" / name, height, width)
    write_format(make_table(tmp_path / "images", made), "competition", tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    return tmp_path


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_every_format_is_converted_to_every_other(folder, source, target, capsys):
    common = ["--images", folder / "images", "--names", folder / "names.txt"]
    first, second, third = folder / "first", folder / "second", folder / "third"
    command("convert", *common, "--from", "competition", "--annotations", folder / "competition", "--to", source, "-o", first)
    command("convert", *common, "--from", source, "--annotations", first, "--to", target, "-o", second)
    command("convert", *common, "--from", target, "--annotations", second, "--to", "competition", "-o", third)
    assert json.loads(third.read_text()) == json.loads((folder / "competition").read_text())
    assert "3 images with 3 objects" in capsys.readouterr().out


def test_a_conversion_writes_over_nothing(folder):
    (folder / "out").mkdir()
    with pytest.raises(UserError, match="out: is there already; choose another --output, or remove it"):
        command("convert", "--from", "competition", "--annotations", folder / "competition", "--images", folder / "images",
                "--to", "voc", "-o", folder / "out")  # fmt: skip


def test_a_conversion_that_fails_leaves_no_folder(folder, monkeypatch):
    def fill_up(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_loader.detection.formats.voc.write", fill_up)
    with pytest.raises(UserError, match="out: cannot be written .No space left on device"):
        command("convert", "--from", "competition", "--annotations", folder / "competition", "--images", folder / "images",
                "--to", "voc", "-o", folder / "out")  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["competition", "images", "names.txt"]


def test_yolo_needs_names(folder):
    with pytest.raises(UserError, match="--names: is needed"):
        command("convert", "--from", "competition", "--annotations", folder / "competition", "--images", folder / "images",
                "--to", "yolo", "-o", folder / "out")  # fmt: skip


def test_a_balanced_subset_is_written_with_its_counts(folder, capsys):
    command("balance", "--from", "competition", "--annotations", folder / "competition", "--images", folder / "images",
            "--to", "competition", "-o", folder / "out", "--rule", "all:phone,cigar")  # fmt: skip
    assert [entry["file_name"] for entry in json.loads((folder / "out").read_text())["annotations"]] == ["a.jpg"]
    assert "subset: 3 -> 1 training samples; objects: cigar 2 -> 1, phone 1 -> 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("some:phone", "allowed: any:a,b or all:a,b"),
        ("any:fone", r'no class fone \(did you mean "phone"\?\)'),
        ("any:a/0", "allowed"),
    ],
)
def test_a_rule_that_is_none_is_refused(folder, rule, message):
    with pytest.raises(UserError, match=f"--rule {rule}: {message}"):
        command("balance", "--from", "competition", "--annotations", folder / "competition", "--images", folder / "images",
                "--to", "competition", "-o", folder / "out", "--rule", rule)  # fmt: skip
