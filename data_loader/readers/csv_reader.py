"""Labels from a CSV file with a row per image."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, some
from utils.config import did_you_mean
from utils.errors import UserError


@READERS.register()
class CsvReader(BaseReader):
    """A row per image; every column of the file is a column of the table.

    Args:
        file: the CSV file below the data folder, UTF-8, with a header.
        path_column: column with the image's path below `root`.
        root: folder of the images below the data folder.
        suffix: text to add to every path, e.g. `.jpg` where the file has bare names.
        id_column: column with a unique id; default: the path.
        delimiter: between columns.
    """

    def __init__(
        self, file: str, path_column: str, root: str = ".", suffix: str = "", id_column: str | None = None, delimiter: str = ","
    ) -> None:
        self.file, self.path_column, self.root, self.suffix = file, path_column, root, suffix
        self.id_column, self.delimiter = id_column, delimiter

    def read(self, data_dir: Path) -> SampleTable:
        """One row per line, in the order of the file. All bad lines are named at once."""
        path = data_dir / self.file
        names, rows, lines = read_csv(path, self.delimiter)
        for wanted in filter(None, (self.path_column, self.id_column)):
            if wanted not in names:
                raise UserError(f"{path}: line 1: no column {wanted}{did_you_mean(wanted, names)}; there are: {', '.join(names)}")
        columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
        paths = [name + self.suffix for name in columns[self.path_column]]
        ids = columns[self.id_column] if self.id_column else paths
        _require_once(path, ids, lines)
        outside = [f"line {line} ({name})" for name, line in zip(paths, lines, strict=True) if _leaves(name)]
        if outside:
            raise UserError(f"{path}: {some(outside)}: paths must stay below the data folder")
        columns = {f"raw:{name}" if name in ("id", "path") else name: values for name, values in columns.items()}
        table = {"id": pa.array(ids, pa.string()), "path": pa.array(paths, pa.string())}
        return SampleTable(data_dir / self.root, pa.table({**table, **{n: pa.array(v, pa.string()) for n, v in columns.items()}}))


def read_csv(path: Path, delimiter: str = ",") -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and the line each row ends on. Raises UserError naming every line with too many or too few fields."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = next(reader, [])
            rows, lines = [], []
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; set data_loader.args.data_dir to the folder that holds it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: is no CSV ({error})") from None
    if len(set(names)) < len(names) or not all(names):
        raise UserError(f"{path}: line 1: found {','.join(names) or 'nothing'}; every column needs a name of its own")
    odd = [f"line {line} has {len(row)}" for row, line in zip(rows, lines, strict=True) if len(row) != len(names)]
    if odd:
        raise UserError(f"{path}: {some(odd)} fields; the header has {len(names)} ({', '.join(names)})")
    if not rows:
        raise UserError(f"{path}: has a header and no rows")
    return names, rows, lines


def _require_once(path: Path, ids: list[str], lines: list[int]) -> None:
    first: dict[str, int] = {}
    twice = [f"line {line} ({name}, also line {first[name]})" for name, line in zip(ids, lines, strict=True) if name in first or first.setdefault(name, line) != line]
    if twice:
        raise UserError(f"{path}: {some(twice)}: every image may be listed once")


def _leaves(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in Path(name).parts or "\0" in name
