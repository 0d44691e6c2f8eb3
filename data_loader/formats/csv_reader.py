"""Reader of labels from a CSV file with one row for each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import pyarrow as pa
from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, some
from base.types import CsvFile, Delimiter, PathSuffix, Root
from data_loader.formats.names import find_files, require_clear
from data_loader.formats.pattern_reader import is_picture
from data_loader.formats.repairs import Repair, with_repairs
from utils.config import did_you_mean
from utils.errors import UserError

Header = Annotated[
    list[str] | None,
    Field(description="names of the columns, for a file without a header; null if its first line names them"),
]
DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8-sig", "cp949")  # cp949 is what Korean Windows and Excel write; UTF-16 has a mark of its own


@READERS.register()
class CsvReader(BaseReader):
    """One row for each image; every column of the file is a column of the table."""

    def __init__(
        self,
        file: CsvFile,
        path_column: Annotated[str, Field(description="the column with the image's path below `root`")],
        root: Root = ".",
        suffix: PathSuffix = "",
        id_column: Annotated[str | None, Field(description="the column with a unique id; null for the path")] = None,
        delimiter: Delimiter = ",",
        header: Header = None,
    ) -> None:
        self.file, self.path_column, self.root, self.suffix = file, path_column, root, suffix
        self.id_column, self.delimiter, self.header = id_column, delimiter, header

    def read(self, data_dir: Path) -> SampleTable:
        """Return one sample for each row, in the order of the file. Raises UserError that names all wrong lines."""
        path = data_dir / self.file
        read = read_csv(path, self.delimiter, header=self.header)
        read.require(path, *filter(None, (self.path_column, self.id_column)))
        names, rows, lines, repairs = _once_each(read)
        columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
        empty = [f"line {line}" for name, line in zip(columns[self.path_column], lines, strict=True) if not name]
        if empty:
            raise UserError(f"{path}: {some(empty)}: {self.path_column} is empty; every row needs the path of its image")
        paths = [name + self.suffix for name in columns[self.path_column]]
        ids = columns[self.id_column] if self.id_column else paths
        _require_once(path, ids, lines)
        root = data_dir / self.root
        found = find_files(root, paths)
        require_clear(found, paths, root, lambda row: f"{path}: line {lines[row]}")
        columns = {f"raw:{name}" if name in ("id", "path") else name: values for name, values in columns.items()}
        table = {"id": pa.array(ids, pa.string()), "path": pa.array(found.paths, pa.string())}
        whole = pa.table({**table, **{name: pa.array(values, pa.string()) for name, values in columns.items()}})
        return with_repairs(SampleTable(root, whole), [*repairs, *found.repairs(ids)])


class Rows(NamedTuple):
    """The contents of a CSV file."""

    names: list[str]  # of the columns
    rows: list[list[str]]
    lines: list[int]  # the line on which each row ends
    repairs: list[Repair]  # what was read otherwise than it is written

    def require(self, path: Path, *wanted: str) -> None:
        """Raise UserError for the first wanted column that the file does not have."""
        for name in wanted:
            if name in self.names:
                continue
            if any(map(is_picture, self.names)):
                example = some([f'"{name}"', *(f'"column {number}"' for number in range(2, len(self.names) + 1))], 20)
                raise UserError(
                    f"{path}: line 1: found {_shown(self.names)}, which is a row and no header; name the columns with "
                    f"reader.args.header: [{example}]"
                )
            near = did_you_mean(name, self.names)
            raise UserError(f"{path}: line 1: no column {name}{near}; there are: {_shown(self.names)}")


def read_csv(path: Path, delimiter: str = ",", may_be_empty: bool = False, header: Sequence[str] | None = None) -> Rows:
    """Return the rows of a file as spreadsheets, pandas and Korean desktops write it.

    Read are UTF-8, UTF-16 and cp949; a first line `sep=;`; comment lines before the header; another delimiter, if the header
    has none of `delimiter`; blanks around fields; empty fields at the end of each row; a column without a name, such as the
    index of pandas, is left out. `repairs` counts each. header: names of the columns, if the file has none.

    Raises UserError for a file that cannot be read, and names every line with too many or too few fields.
    """
    text, repairs = _text(path)
    text, delimiter, skipped = _dialect(text, delimiter, repairs)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        first = list(header) if header is not None else next(reader, [])
        numbered = [(reader.line_num + skipped, row) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num + skipped}: is no CSV ({error})") from None
    names, numbered = _trimmed(first, numbered, repairs)
    if len(set(names)) < len(names) or not any(names):
        raise UserError(f"{path}: line 1: found {_shown(names)}; every column needs a name of its own")
    odd = [f"line {line} has {len(row)}" for line, row in numbered if len(row) != len(names)]
    if odd:
        raise UserError(f"{path}: {some(odd)} fields; the header has {len(names)} ({_shown(names)})")
    if not numbered and not may_be_empty:
        raise UserError(f"{path}: has a header and no rows")
    kept = [place for place, name in enumerate(names) if name]
    if len(kept) < len(names):
        repairs.append(Repair("", "columns without a name left out"))
        numbered = [(line, [row[place] for place in kept]) for line, row in numbered]
    return Rows([names[place] for place in kept], [row for _, row in numbered], [line for line, _ in numbered], repairs)


def _text(path: Path) -> tuple[str, list[Repair]]:
    """Return the text of a file, and a repair if it is not UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        advice = (
            "; a data set's files are looked for in data_loader.args.data_dir" if isinstance(error, FileNotFoundError) else ""
        )
        raise UserError(f"{path}: cannot be read ({error.strerror})" + advice) from None
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ENCODINGS:
        try:
            return content.decode(encoding), [] if encoding == "utf-8-sig" else [Repair("", f"files read as {encoding}")]
        except UnicodeDecodeError as error:
            place = error.start
    with_other = "is no UTF-16 text" if utf16 else "is neither UTF-8 nor cp949 text"
    raise UserError(f"{path}: {with_other} (byte {place}); save it as UTF-8")


def _dialect(text: str, delimiter: str, repairs: list[Repair]) -> tuple[str, str, int]:
    """Return the text from its header on, its delimiter, and the number of lines before."""
    lines, start = text.splitlines(keepends=True), 0
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        delimiter, start = lines[0].strip()[4], 1
    while start + 1 < len(lines) and lines[start].startswith("#") and delimiter not in lines[start]:
        start += 1
        repairs.append(Repair("", "comment lines before the header left out"))
    head = lines[start] if start < len(lines) else ""
    others = [other for other in DELIMITERS if other in head]
    if delimiter not in head and len(others) == 1:
        delimiter = others[0]
        repairs.append(Repair("", f"files read with the delimiter {delimiter!r}; reader.args.delimiter says it"))
    return "".join(lines[start:]) if start else text, delimiter, start


def _trimmed(
    names: list[str], numbered: list[tuple[int, list[str]]], repairs: list[Repair]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return header and rows without blanks around fields, and without empty fields behind the header's last."""
    trimmed, width = [name.strip() for name in names], len(names)
    blanks, longer, result = int(trimmed != names), 0, []
    for line, row in numbered:
        fields = [field.strip() for field in row]
        blanks += fields != row
        if len(fields) > width and not any(fields[width:]):
            fields, longer = fields[:width], longer + 1
        result.append((line, fields))
    repairs += [Repair("", "rows with blanks around a field, read without them")] * blanks
    repairs += [Repair("", "rows with empty fields behind the last column, read without them")] * longer
    return trimmed, result


def _once_each(read: Rows) -> Rows:
    """Return the rows without exact repetitions of an earlier row."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for place, row in enumerate(map(tuple, read.rows)):
        if row not in seen:
            kept.append(place)
            seen.add(row)
    again = [Repair("", "rows left out that repeat an earlier row exactly")] * (len(read.rows) - len(kept))
    rows, lines = [read.rows[place] for place in kept], [read.lines[place] for place in kept]
    return Rows(read.names, rows, lines, [*read.repairs, *again])


def _shown(names: list[str]) -> str:
    return some([name or '""' for name in names], 20) or "nothing"


def _require_once(path: Path, ids: list[str], lines: list[int]) -> None:
    """Raise UserError that names the lines with an id of an earlier line."""
    first: dict[str, int] = {}
    twice = []
    for name, line in zip(ids, lines, strict=True):
        if first.setdefault(name, line) != line:
            twice.append(f"line {line} ({name}, also line {first[name]})")
    if twice:
        raise UserError(f"{path}: {some(twice)}: every image may be listed once")
