"""Annotations become tables, and whatever cannot is named: file, line, what was found."""

from __future__ import annotations

import os

import numpy as np
import pytest
from pydantic import ValidationError

from base.base_reader import READERS
from base.registry import import_all
from data_loader.formats.csv_reader import CsvReader, read_csv
from data_loader.formats.pattern_reader import PatternReader, find_images
from utils.errors import UserError

PERSON = r"(?P<person>\d+)_(?P<gender>\w+)/(?P<shot>[a-z]+)\d*\.jpg"


def files(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"picture")
    return folder


def table_file(folder, content):
    path = folder / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def arguments(reader, **args):
    import_all("data_loader")
    return READERS.parts[reader].model_validate({"type": reader, "args": args}).build()


# Patterns -----------------------------------------------------------------------------------------------------------


def test_every_group_of_a_pattern_is_a_column(tmp_path):
    files(tmp_path, "1_male/mask1.jpg", "1_male/mask2.jpg", "2_female/normal.jpg")
    table = PatternReader(PERSON).read(tmp_path)
    assert table.names == ["id", "path", "person", "gender", "shot"]
    assert table.ids() == ["1_male/mask1.jpg", "1_male/mask2.jpg", "2_female/normal.jpg"]
    assert table.strings("person") == ["1", "1", "2"]
    assert table.strings("shot") == ["mask", "mask", "normal"]
    assert table.path(2) == tmp_path / "2_female/normal.jpg"


def test_a_group_called_id_is_the_id(tmp_path):
    table = PatternReader(r"(?P<id>\d+)\.png").read(files(tmp_path, "7.png", "8.png"))
    assert table.ids() == ["7", "8"]
    assert table.paths() == ["7.png", "8.png"]


def test_ids_that_two_files_share_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="7 listed more than once; every sample needs an id of its own"):
        PatternReader(r"(?P<id>\d+)[ab]\.png").read(files(tmp_path, "7a.png", "7b.png", "8a.png"))


def test_files_that_do_not_match_are_named_and_counted(tmp_path):
    files(tmp_path, "1_male/mask1.jpg", "odd.jpg", "1_male/more/mask1.jpg")
    with pytest.raises(
        UserError, match=r"2 of 3 images do not match .* \(1_male/more/mask1.jpg, odd.jpg\); mend reader.args.pattern"
    ):
        PatternReader(PERSON).read(tmp_path)


def test_a_pattern_must_match_the_whole_path(tmp_path):
    with pytest.raises(UserError, match="do not match"):
        PatternReader(r"1_male").read(files(tmp_path, "1_male/mask1.jpg"))


def test_ignored_files_are_left_out(tmp_path):
    files(tmp_path, "1_male/mask1.jpg", "thumbnails/1.jpg")
    assert PatternReader(PERSON, ignore="thumbnails/.*").read(tmp_path).ids() == ["1_male/mask1.jpg"]


def test_ignoring_every_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="reader.args.ignore leaves out every image"):
        PatternReader(PERSON, ignore=".*").read(files(tmp_path, "1_male/mask1.jpg"))


def test_a_group_that_took_no_part_is_not_known(tmp_path):
    table = PatternReader(r"(?P<person>\d+)(_(?P<age>\d+))?\.png").read(files(tmp_path, "1.png", "2_30.png"))
    assert table.strings("age") == ["", "30"]


def test_only_images_that_are_not_hidden_are_found(tmp_path):
    files(tmp_path, "a.JPG", "b.jpeg", "c/d.webp", "notes.txt", "._a.jpg", ".cache/e.png", "f.png.part")
    (tmp_path / "folder.jpg").mkdir()
    assert find_images(tmp_path) == ["a.JPG", "b.jpeg", "c/d.webp"]


def test_linked_folders_are_followed_but_not_in_a_circle(tmp_path):
    files(tmp_path, "data/a/1.png", "elsewhere/2.png")
    (tmp_path / "data/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/a/back").symlink_to(tmp_path / "data")
    assert find_images(tmp_path / "data") == ["a/1.png", "b/2.png"]


def test_names_that_are_no_text_are_refused(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.png", "wb"):
        pass
    with pytest.raises(UserError, match=r"udcff.*\.png: the names of 1 images are not UTF-8 text; rename them"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "gone", "gone: is no folder; set data_loader.args.data_dir to where the images are"),
        (lambda folder: files(folder, "notes.txt"), r"holds no images \(\.avif, \.bmp, \.gif"),
    ],
)
def test_a_folder_without_images_is_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        PatternReader(".*").read(make(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(?P<a>", r"a regular expression \(missing \), unterminated"), ("(?P<path>.*)", "without a group called path")],
)
def test_a_pattern_that_cannot_be_is_refused_by_the_config(pattern, message):
    with pytest.raises(ValidationError, match=message):
        arguments("PatternReader", pattern=pattern)


# CSV ----------------------------------------------------------------------------------------------------------------


def test_every_column_of_a_csv_file_is_a_column(tmp_path):
    table = CsvReader("labels.csv", "file", root="images").read(table_file(tmp_path, "file,age\na.jpg,30\nb/c.jpg,\n"))
    assert table.ids() == table.paths() == ["a.jpg", "b/c.jpg"]
    assert table.strings("age") == ["30", ""]
    assert table.path(1) == tmp_path / "images/b/c.jpg"


def test_ids_and_suffixes_may_be_chosen(tmp_path):
    reader = CsvReader("labels.csv", "name", suffix=".jpg", id_column="number", delimiter=";")
    table = reader.read(table_file(tmp_path, "name;number\na;1\nb;2\n"))
    assert table.ids() == ["1", "2"]
    assert table.paths() == ["a.jpg", "b.jpg"]


def test_columns_called_like_ours_are_kept_under_raw(tmp_path):
    table = CsvReader("labels.csv", "path").read(table_file(tmp_path, "path,id\na.jpg,9\n"))
    assert table.names == ["id", "path", "raw:path", "raw:id"]
    assert table.strings("raw:id") == ["9"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert CsvReader("labels.csv", "file").read(table_file(tmp_path, b"\xef\xbb\xbffile\na.jpg\n")).ids() == ["a.jpg"]


def test_quotes_commas_and_line_ends_within_fields_are_read(tmp_path):
    names, rows, lines, _ = read_csv(
        table_file(tmp_path, 'file,note\r\n"a,b.jpg","two\r\nlines"\r\n\r\nc.jpg,x\r\n') / "labels.csv"
    )
    assert names == ["file", "note"]
    assert rows == [["a,b.jpg", "two\r\nlines"], ["c.jpg", "x"]]
    assert lines == [3, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fille,age\na.jpg,1\n", r'line 1: no column file \(did you mean "fille"\?\); there are: fille, age'),
        ("file,age\na.jpg,1\nb.jpg,2\na.jpg,3\n", r"line 4 \(a.jpg, also line 2\): every image may be listed once"),
        ("file,age\na.jpg,1\nb.jpg\nc.jpg,3,4\n", r"line 3 has 1, line 4 has 3 fields; the header has 2 \(file, age\)"),
        ("file,age\na.jpg,1\n,2\n", "line 3: file is empty; every row needs the path of its image"),
        ("file\n../b.jpg\n", r"line 2 \(../b.jpg\): no file of this name is below .*; paths must stay below the data folder"),
        ("file\n/etc/passwd\n", r"line 2 \(/etc/passwd\): no file of this name is below"),
        ("file\na\\..\\..\\b.jpg\n", r"line 2 .*: no file of this name is below"),
        ("file\na\0b.jpg\n", r"line 2 \(a\\x00b.jpg\): no file of this name is below"),
        ("file,file\na,b\n", "line 1: found file, file; every column needs a name of its own"),
        ("", "line 1: found nothing; every column needs a name of its own"),
        ("file,age\n", "has a header and no rows"),
        ('file\n"a.jpg\n', "line 2: is no CSV"),
        (b"file\n\xff\xfe.jpg\n", r"is neither UTF-8 nor cp949 text \(byte 5\)"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_refused_with_its_lines(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"labels.csv: {message}") as refusal:
        CsvReader("labels.csv", "file").read(table_file(tmp_path, content))
    assert "\n" not in str(refusal.value)


def test_a_csv_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone.csv: cannot be read \(No such file or directory\); .* data_loader.args.data_dir"):
        CsvReader("gone.csv", "file").read(tmp_path)


@pytest.mark.parametrize("delimiter", ["", ",,"])
def test_a_delimiter_is_one_character(delimiter):
    with pytest.raises(ValidationError, match="delimiter"):
        arguments("CsvReader", file="a", path_column="b", delimiter=delimiter)


def test_500_mutated_csv_files_are_read_or_refused_in_one_line(tmp_path):
    good = b'file,person,age\n"a 1.jpg",7,30\nb/c.jpg,8,61\nd.jpg,9,"5"\n'
    random, refused = np.random.default_rng(0), 0
    for _ in range(500):
        content = bytearray(good)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            content[place : place + random.integers(0, 3)] = random.bytes(int(random.integers(0, 3)))
        try:
            CsvReader("labels.csv", "file").read(table_file(tmp_path, bytes(content)))
        except UserError as error:
            assert str(error).startswith(f"{tmp_path}/labels.csv: ") and "\n" not in str(error)
            refused += 1
    assert refused > 100
