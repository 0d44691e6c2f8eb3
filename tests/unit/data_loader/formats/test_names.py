"""Pictures are found by names as people wrote them, and never outside their folder."""

from __future__ import annotations

import unicodedata

import pytest

from base.table import SampleTable
from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.names import find_files, with_files
from data_loader.formats.repairs import repair_lines
from utils.errors import UserError


def folder(tmp_path, *names):
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"picture")
    return tmp_path / "data"


KOREAN = "\uc0ac\ub78c.jpg"


@pytest.mark.parametrize(
    ("written", "there", "way"),
    [
        ("img\\0.jpg", "img/0.jpg", "with other slashes or blanks"),
        ("img//0.jpg ", "img/0.jpg", "with other slashes or blanks"),
        (KOREAN, unicodedata.normalize("NFD", KOREAN), "in another Unicode form"),
        (unicodedata.normalize("NFD", KOREAN), KOREAN, "in another Unicode form"),
        ("0.JPG", "0.jpg", "in another case"),
        ("Img/0.jpg", "IMG/0.jpg", "in another case"),
        ("0", "0.png", "with another ending"),
        ("0.jpg", "0.png", "with another ending"),
        ("photo.2020", "photo.2020.jpg", "with another ending"),
        ("/content/data/0.jpg", "0.jpg", "below other folders"),
        ("C:\\data\\cat\\0.jpg", "cat/0.jpg", "below other folders"),
        ("../data/0.jpg", "0.jpg", "below other folders"),
        ("images/0", "0.bmp", "below other folders"),
        ("https://x.org/pictures/a%20b.jpg?size=1", "a b.jpg", "below other folders"),
        ("0.jpg", "train/cat/0.jpg", "by their base name"),
        ("7", "0007.jpg", "with zeros in front"),
        ("7.jpg", "0007.jpg", "with zeros in front"),
    ],
)
def test_a_picture_is_found_by_the_name_that_people_write(tmp_path, written, there, way):
    found = find_files(folder(tmp_path, there, "other/x.jpg"), [written, "other/x.jpg"])
    assert found.paths == [there, "other/x.jpg"]
    assert way in found.ways[0] and list(found.ways) == [0]


def test_the_own_name_of_an_annotation_comes_before_the_base_name(tmp_path):
    root = folder(tmp_path, "a/p0.jpg", "b/old.jpg")
    assert find_files(root, ["old.jpg"], ["a/p0"]).paths == ["a/p0.jpg"]
    assert find_files(root, [""], ["sub/p0"]).paths == ["a/p0.jpg"]


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("0.jpg", ["a/0.jpg", "b/0.jpg"]),
        ("0", ["0.jpg", "0.png"]),
        ("x.jpg", ["X.jpg", "x.JPG"]),
        ("7", ["007.jpg", "07.jpg"]),
    ],
)
def test_a_name_that_may_mean_two_files_is_refused_with_both(tmp_path, written, there):
    root = folder(tmp_path, *there)
    (root / "list.csv").write_text(f"file\n{written}\n")
    with pytest.raises(UserError, match=rf"list.csv: line 2: {written}: is not there, .*: {', '.join(sorted(there))}; write the"):
        CsvReader("list.csv", "file").read(root)


def test_a_file_is_meant_by_one_name_only(tmp_path):
    root = folder(tmp_path, "a.jpg")
    assert find_files(root, ["a.jpg", "a.png"]).paths == ["a.jpg", "a.png"]  # the second is missing, and stays so
    (root / "list.csv").write_text("file\na.png\nA.bmp\n")
    with pytest.raises(UserError, match="a.png: is not there, and it is not clear what is meant: a.jpg, A.bmp"):
        CsvReader("list.csv", "file").read(root)


def test_a_picture_that_is_missing_from_its_folder_is_not_sought_in_others(tmp_path):
    root = folder(tmp_path, "train/0.jpg", "test/1.jpg", "1.jpg")
    assert find_files(root, ["train/1.jpg"]).ways == {}


@pytest.mark.parametrize("written", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg"])
def test_nothing_outside_the_folder_is_ever_found(tmp_path, written):
    root = folder(tmp_path, "a.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    found = find_files(root, [written])
    assert found.outside == [0] and found.paths == [written]
    (root / "list.csv").write_text(f"file\n{written}\n")
    with pytest.raises(UserError, match="line 2 .*: no file of this name is below .*data; paths must stay below"):
        CsvReader("list.csv", "file").read(root)


def test_ids_stay_as_they_are_written_and_each_way_is_told_in_a_line(tmp_path):
    root = folder(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (root / "list.csv").write_text("file\nA.jpg\nB.jpg\nc.jpg\nd\n")
    table = CsvReader("list.csv", "file").read(root)
    assert (table.ids(), table.paths()) == (["A.jpg", "B.jpg", "c.jpg", "d"], ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert repair_lines(table) == [
        "warning: 2 paths found in another case (A.jpg, B.jpg)",
        "warning: 1 paths found with another ending (d)",
    ]


def test_the_table_of_any_reader_gets_its_files(tmp_path):
    table = SampleTable.from_columns(folder(tmp_path, "a.jpg"), {"id": ["x"], "path": ["img/A.JPG"]})
    assert with_files(table).paths() == ["a.jpg"]


def test_names_that_are_exact_make_no_difference(tmp_path):
    root = folder(tmp_path, "a.jpg", "b/c.jpg")
    table = SampleTable.from_columns(root, {"id": ["x", "y"], "path": ["b/c.jpg", "./a.jpg"]})
    assert with_files(table) is table
