"""Hold the samples of a data set as a table of columns in flat memory, one row for each sample."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from utils import files
from utils.errors import UserError

FOLD = "fold"  # column with the fold in which a sample or a pair of samples was held out; in tables of several folds


class SampleTable:
    """A table of samples in Arrow memory: a million rows are a few flat buffers that forked workers share.

    Every table has the string columns `id` (unique; the key in Predictions and submissions) and `path` (of the image file,
    below `root`). Label columns are integers, -1 if the label is not known. Other columns hold the reader's values.
    `related` holds further tables that belong to the samples, by name (for example a list of pairs of ids); `take` and the
    other methods that choose rows leave them unchanged.
    """

    def __init__(self, root: Path, columns: pa.Table, related: Mapping[str, pa.Table] | None = None) -> None:
        self.root = root
        self.related = dict(related or {})
        self.columns = columns.combine_chunks()
        # Looking a column up by name and finding the chunk of a row takes longer than reading the cell.
        self._id, self._path = self.columns["id"].combine_chunks(), self.columns["path"].combine_chunks()

    @classmethod
    def from_columns(cls, root: Path, columns: dict[str, Any]) -> SampleTable:
        """Make a table from lists or arrays (N,), by column name."""
        return cls(root, pa.table(columns))

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns.column_names)

    def ids(self) -> list[str]:
        """Return the sample ids, in order of the rows."""
        return list(self.columns["id"].to_pylist())

    def id(self, row: int) -> str:
        """Return the id of a row."""
        return str(self._id[row].as_py())

    def path(self, row: int) -> Path:
        """Return the path of a row's image file."""
        return Path(f"{self.root}/{self._path[row].as_py()}")

    def paths(self) -> list[str]:
        """Return the paths of the image files below `root`, in order of the rows."""
        return list(self._path.to_pylist())

    def numbers(self, name: str) -> np.ndarray:
        """Return a numeric column as an array (N,) of the column's dtype, without a copy if Arrow's memory allows."""
        return np.asarray(self.columns[name].to_numpy())

    def strings(self, name: str) -> list[str]:
        """Return a column as N texts; missing values are empty."""
        return ["" if value is None else str(value) for value in self.columns[name].to_pylist()]

    def values(self, name: str, row: int) -> Any:
        """Return a cell as a plain value."""
        return self.columns[name][row].as_py()

    def with_column(self, name: str, values: Any) -> SampleTable:
        """Return the table with a column added or replaced. values: an Arrow array, list or array of N values."""
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        place = self.columns.schema.get_field_index(name)
        columns = self.columns.append_column(name, array) if place < 0 else self.columns.set_column(place, name, array)
        return SampleTable(self.root, columns, self.related)

    def take(self, rows: np.ndarray | list[int]) -> SampleTable:
        """Return the given rows (n,) int64, in the given order."""
        return SampleTable(self.root, self.columns.take(pa.array(rows, pa.int64())), self.related)

    @classmethod
    def of_folds(cls, tables: Mapping[int, SampleTable]) -> SampleTable:
        """Join the tables of several folds, in order of id; the samples and the related tables get the column `fold`.

        Raises UserError that names the samples that are in two folds.
        """
        first = next(iter(tables.values()))
        parts = {name: {fold: table.related[name] for fold, table in tables.items()} for name in first.related}
        related = {name: _labelled_by_fold(part) for name, part in parts.items()}
        joined = cls(first.root, _labelled_by_fold({fold: table.columns for fold, table in tables.items()}), related).sorted()
        require_unique_ids(joined, "folds")
        return joined

    def sorted(self) -> SampleTable:
        """Return the rows in order of id."""
        return SampleTable(self.root, self.columns.sort_by("id"), self.related)

    def drop(self, ids: Iterable[str]) -> SampleTable:
        """Return the table without the given ids."""
        gone = pc.is_in(self.columns["id"], value_set=pa.array(list(ids), pa.string()))
        return SampleTable(self.root, self.columns.filter(pc.invert(gone)), self.related)

    def digest(self, but: Collection[str] = ()) -> str:
        """Return the SHA-256 over column names and cells, including related tables, without `path` and the columns in `but`."""
        hashed = hashlib.sha256()
        for table in (self.columns.drop_columns(["path"]), *(self.related[name] for name in sorted(self.related))):
            for name in sorted(set(table.column_names) - set(but)):
                hashed.update(f"\n{name}\n".encode())
                for piece in _pieces(table[name].combine_chunks()):
                    hashed.update(piece)
        return hashed.hexdigest()

    def write(self, path: Path) -> None:
        """Write columns and `root` as Parquet, so that predictions can be inspected without the data.

        Related tables become files `<stem>-<name>.parquet` beside `path`. Raises WriteError if a file cannot be written.
        """
        tables = {path: self.columns.replace_schema_metadata({"root": str(self.root)})}
        tables |= {path.with_name(f"{path.stem}-{name}.parquet"): table for name, table in self.related.items()}
        for place, table in tables.items():
            files.write_atomically(place, lambda file, table=table: pq.write_table(table, file))  # type: ignore[misc]

    @classmethod
    def read(cls, path: Path) -> SampleTable:
        """Read the files that `write` wrote. Raises UserError if the file is not a table of samples."""
        try:
            table = pq.read_table(path)
            paths = {place.stem.removeprefix(f"{path.stem}-"): place for place in path.parent.glob(f"{path.stem}-*.parquet")}
            related = {name: pq.read_table(place) for name, place in paths.items()}
            return cls(Path((table.schema.metadata or {})[b"root"].decode()), table, related)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path}: is not a table of samples ({str(error).splitlines()[0]})") from None


def _pieces(cells: pa.Array) -> Iterator[bytes]:
    """Yield all values as bytes that do not depend on Arrow's memory layout."""
    kind = cells.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _pieces(pc.list_value_length(cells))
        yield from _pieces(pc.list_flatten(cells))
    elif (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and not cells.null_count:
        yield np.asarray(cells.to_numpy()).astype("<i8" if pa.types.is_integer(kind) else "<f8").tobytes()
    else:
        yield "\0".join(map(repr, cells.to_pylist())).encode()


def _labelled_by_fold(tables: Mapping[int, pa.Table]) -> pa.Table:
    """Return the rows of all folds, with the column `fold`."""
    numbered = []
    for fold, table in tables.items():
        place = table.schema.get_field_index(FOLD)
        rest = table if place < 0 else table.remove_column(place)
        numbered.append(rest.append_column(FOLD, pa.array([fold] * len(table), pa.int32())))
    return pa.concat_tables(numbered)


def require_unique_ids(table: SampleTable, source: str) -> None:
    """Raise UserError that names the ids that occur more than once, if there are any."""
    counts = pc.value_counts(table.columns["id"])
    twice = [entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1] if len(counts) < len(table) else []
    if twice:
        raise UserError(f"{source}: {some(twice)} listed more than once; every sample needs an id of its own")


def some(names: Iterable[str], limit: int = 5) -> str:
    """Return the first few names and the number of further ones, on one line; unprintable names are escaped."""
    listed = list(names)
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(name if name.isprintable() else ascii(name)[1:-1] for name in listed[:limit]) + more
