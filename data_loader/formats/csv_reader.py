"""Reader of labels from a CSV file with one row for each image."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, some
from base.types import CsvFile, Delimiter, PathSuffix, Root
from data_loader.formats.names import find_files, require_clear
from data_loader.formats.repairs import with_repairs
from utils.config import did_you_mean
from utils.errors import UserError


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
    ) -> None:
        self.file, self.path_column, self.root, self.suffix = file, path_column, root, suffix
        self.id_column, self.delimiter = id_column, delimiter

    def read(self, data_dir: Path) -> SampleTable:
        """Return one sample for each row, in the order of the file. Raises UserError that names all wrong lines."""
        path = data_dir / self.file
        names, rows, lines = read_csv(path, self.delimiter)
        for wanted in filter(None, (self.path_column, self.id_column)):
            if wanted not in names:
                raise UserError(f"{path}: line 1: no column {wanted}{did_you_mean(wanted, names)}; there are: {_shown(names)}")
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
        return with_repairs(SampleTable(root, whole), found.repairs(ids))


def read_csv(path: Path, delimiter: str = ",", may_be_empty: bool = False) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows, and the line on which each row ends.

    Raises UserError for a file that cannot be read, and names every line with too many or too few fields.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = next(reader, [])
            numbered = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        advice = (
            "; a data set's files are looked for in data_loader.args.data_dir" if isinstance(error, FileNotFoundError) else ""
        )
        raise UserError(f"{path}: cannot be read ({error.strerror}){advice}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: is no CSV ({error})") from None
    if len(set(names)) < len(names) or not names or not all(names):
        raise UserError(f"{path}: line 1: found {_shown(names)}; every column needs a name of its own")
    odd = [f"line {line} has {len(row)}" for line, row in numbered if len(row) != len(names)]
    if odd:
        raise UserError(f"{path}: {some(odd)} fields; the header has {len(names)} ({_shown(names)})")
    if not numbered and not may_be_empty:
        raise UserError(f"{path}: has a header and no rows")
    return names, [row for _, row in numbered], [line for line, _ in numbered]


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
