"""CSV files as spreadsheets, pandas and Korean desktops write them are read, and what was understood is told."""

from __future__ import annotations

import pytest

from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.repairs import repair_lines
from utils.errors import UserError

PLAIN = "file,y\na.jpg,0\nb.jpg,1\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PLAIN, []),
        (PLAIN.replace("\n", "\r\n").encode("utf-8-sig"), []),
        (PLAIN.replace("\n", "\r"), []),
        (PLAIN.encode("utf-16"), ["1 files read as utf-16"]),
        ("file,y\na.jpg,\ub0a8\nb.jpg,\uc5ec\n".encode("cp949"), ["1 files read as cp949"]),
        ("sep=;\n" + PLAIN.replace(",", ";"), []),
        (PLAIN.replace(",", ";"), ["1 files read with the delimiter ';'; reader.args.delimiter says it"]),
        (PLAIN.replace(",", "\t"), ["1 files read with the delimiter '\\t'; reader.args.delimiter says it"]),
        ("# exported 2021\n" + PLAIN, ["1 comment lines before the header left out"]),
        (",file,y\n0,a.jpg,0\n1,b.jpg,1\n", ["1 columns without a name left out"]),
        ("file,y,\na.jpg,0,\nb.jpg,1,\n", ["1 columns without a name left out"]),
        ("file,y\na.jpg,0,\nb.jpg,1,\n", ["2 rows with empty fields behind the last column, read without them"]),
        ("file, y\na.jpg, 0\nb.jpg,1\n", ["2 rows with blanks around a field, read without them"]),
        ("file ,y\na.jpg,0\nb.jpg,1\n", ["1 rows with blanks around a field, read without them"]),
        (PLAIN + "a.jpg,0\n", ["1 rows left out that repeat an earlier row exactly"]),
    ],
)
def test_a_dialect_is_read_and_told(tmp_path, content, told):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"picture")
    (tmp_path / "labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    table = CsvReader("labels.csv", "file").read(tmp_path)
    assert (table.names, table.ids()) == (["id", "path", "file", "y"], ["a.jpg", "b.jpg"])
    assert table.strings("y") in (["0", "1"], ["\ub0a8", "\uc5ec"])
    assert repair_lines(table) == [f"warning: {line}" for line in told]


def test_a_file_without_a_header_is_named_and_read_with_one(tmp_path):
    (tmp_path / "labels.csv").write_text("a.jpg,0\nb.jpg,1\n")
    with pytest.raises(UserError, match=r'line 1: found a.jpg, 0, which is a row and no header; name .*header: \["file", "colum'):
        CsvReader("labels.csv", "file").read(tmp_path)
    table = CsvReader("labels.csv", "file", header=["file", "y"]).read(tmp_path)
    assert (table.ids(), table.strings("y")) == (["a.jpg", "b.jpg"], ["0", "1"])
