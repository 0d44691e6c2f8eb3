"""The samples of a data set as columns: a row each, flat in memory whatever their number."""

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

FOLD = "fold"  # column with the fold in which a sample, or a pair of them, was held out; in tables of several folds


class SampleTable:
    """Columns over samples, in Arrow memory: a million rows are a few flat buffers that forked workers share.

    Every table has the string columns `id` (unique; what Predictions and submissions are keyed by) and `path` (of the
    image file, below `root`). Label columns are integers, -1 where the label is not known. Other columns are as the
    reader found them. `related` holds further tables that belong to the samples, by name (a list of pairs of ids, say);
    they stay as they are whatever rows are taken.
    """

    def __init__(self, root: Path, columns: pa.Table, related: Mapping[str, pa.Table] | None = None) -> None:
        self.root = root
        self.related = dict(related or {})
        self.columns = columns.combine_chunks()
        # Looking a column up by name and finding the chunk of a row takes longer than reading the cell.
        self._id, self._path = self.columns["id"].combine_chunks(), self.columns["path"].combine_chunks()

    @classmethod
    def from_columns(cls, root: Path, columns: dict[str, Any]) -> SampleTable:
        """A table of equally long lists or arrays."""
        return cls(root, pa.table(columns))

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns.column_names)

    def ids(self) -> list[str]:
        """The sample ids, in order."""
        return list(self.columns["id"].to_pylist())

    def id(self, row: int) -> str:
        """The id of one row."""
        return str(self._id[row].as_py())

    def path(self, row: int) -> Path:
        """The image file of one row."""
        return Path(f"{self.root}/{self._path[row].as_py()}")

    def paths(self) -> list[str]:
        """The image files, in order, below `root`."""
        return list(self._path.to_pylist())

    def numbers(self, name: str) -> np.ndarray:
        """A numeric column as an array (N,), without a copy where Arrow's memory allows."""
        return np.asarray(self.columns[name].to_numpy())

    def strings(self, name: str) -> list[str]:
        """A column as text, a list of N; missing values are empty."""
        return ["" if value is None else str(value) for value in self.columns[name].to_pylist()]

    def values(self, name: str, row: int) -> Any:
        """One cell, as a plain value."""
        return self.columns[name][row].as_py()

    def with_column(self, name: str, values: Any) -> SampleTable:
        """The table with one column added or replaced."""
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        place = self.columns.schema.get_field_index(name)
        columns = self.columns.append_column(name, array) if place < 0 else self.columns.set_column(place, name, array)
        return SampleTable(self.root, columns, self.related)

    def take(self, rows: np.ndarray | list[int]) -> SampleTable:
        """The given rows, in the given order."""
        return SampleTable(self.root, self.columns.take(pa.array(rows, pa.int64())), self.related)

    @classmethod
    def of_folds(cls, tables: Mapping[int, SampleTable]) -> SampleTable:
        """The samples of several folds in order of id, with related tables, each with the column `fold`.

        Raises UserError naming the samples that are in two folds.
        """
        first = next(iter(tables.values()))
        parts = {name: {fold: table.related[name] for fold, table in tables.items()} for name in first.related}
        related = {name: _labelled_by_fold(part) for name, part in parts.items()}
        joined = cls(first.root, _labelled_by_fold({fold: table.columns for fold, table in tables.items()}), related).sorted()
        require_unique_ids(joined, "folds")
        return joined

    def sorted(self) -> SampleTable:
        """The rows in order of id."""
        return SampleTable(self.root, self.columns.sort_by("id"), self.related)

    def drop(self, ids: Iterable[str]) -> SampleTable:
        """The table without these ids."""
        gone = pc.is_in(self.columns["id"], value_set=pa.array(list(ids), pa.string()))
        return SampleTable(self.root, self.columns.filter(pc.invert(gone)), self.related)

    def digest(self, but: Collection[str] = ()) -> str:
        """SHA-256 over names and cells, related tables included; not over where the pictures are, nor the columns in `but`."""
        found = hashlib.sha256()
        for table in (self.columns.drop_columns(["path"]), *(self.related[name] for name in sorted(self.related))):
            for name in sorted(set(table.column_names) - set(but)):
                found.update(f"\n{name}\n".encode())
                for piece in _pieces(table[name].combine_chunks()):
                    found.update(piece)
        return found.hexdigest()

    def write(self, path: Path) -> None:
        """Write columns and `root` as Parquet, for who has the predictions and not the data; related tables as `<stem>-<name>`.

        Raises WriteError.
        """
        tables = {path: self.columns.replace_schema_metadata({"root": str(self.root)})}
        tables |= {path.with_name(f"{path.stem}-{name}.parquet"): table for name, table in self.related.items()}
        for place, table in tables.items():
            files.write_atomically(place, lambda file, table=table: pq.write_table(table, file))  # type: ignore[misc]

    @classmethod
    def read(cls, path: Path) -> SampleTable:
        """What `write` wrote. Raises UserError for a file that is none."""
        try:
            table = pq.read_table(path)
            found = {place.stem.removeprefix(f"{path.stem}-"): place for place in path.parent.glob(f"{path.stem}-*.parquet")}
            related = {name: pq.read_table(place) for name, place in found.items()}
            return cls(Path((table.schema.metadata or {})[b"root"].decode()), table, related)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path}: is not a table of samples ({str(error).splitlines()[0]})") from None


def _pieces(cells: pa.Array) -> Iterator[bytes]:
    """All values as bytes, which do not depend on how Arrow keeps them."""
    kind = cells.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _pieces(pc.list_value_length(cells))
        yield from _pieces(pc.list_flatten(cells))
    elif (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and not cells.null_count:
        yield np.asarray(cells.to_numpy()).astype("<i8" if pa.types.is_integer(kind) else "<f8").tobytes()
    else:
        yield "\0".join(map(repr, cells.to_pylist())).encode()


def _labelled_by_fold(tables: Mapping[int, pa.Table]) -> pa.Table:
    """All rows, with the fold of each."""
    numbered = []
    for fold, table in tables.items():
        place = table.schema.get_field_index(FOLD)
        rest = table if place < 0 else table.remove_column(place)
        numbered.append(rest.append_column(FOLD, pa.array([fold] * len(table), pa.int32())))
    return pa.concat_tables(numbered)


def require_unique_ids(table: SampleTable, source: str) -> None:
    """Raise UserError naming the ids that stand more than once."""
    counts = pc.value_counts(table.columns["id"])
    twice = [entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1] if len(counts) < len(table) else []
    if twice:
        raise UserError(f"{source}: {some(twice)} listed more than once; every sample needs an id of its own")


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, and how many more there are; on one line, whatever is in the names."""
    listed = list(names)
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(name if name.isprintable() else ascii(name)[1:-1] for name in listed[:limit]) + more
