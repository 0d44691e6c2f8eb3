"""Duplicate files: files with the same bytes under different names."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from base.table import SampleTable, some
from utils.errors import UserError

TAIL = 4096


def identical_files(table: SampleTable) -> list[list[int]]:
    """Return the sets of rows whose files have the same bytes, in order of their first row.

    Sizes are compared first, then the last bytes, then all bytes: hardly any file without a duplicate is read whole. Empty
    files and files that cannot be read are in no set.
    """
    paths = [os.path.join(table.root, path) for path in table.paths()]
    groups: list[list[int]] = [list(range(len(table)))]
    for key in (_size, _tail, _digest):
        groups = [part for group in groups for part in _parts(group, paths, key)]
    return sorted(groups)


def concatenated(one: SampleTable, other: SampleTable, columns: Iterable[str] = ()) -> SampleTable:
    """Return the ids, files and some columns of both tables in one table, the second's rows behind the first's.

    columns: names; a column that one of the tables lacks is left out.
    """
    paths = [str(Path(table.root, path).absolute()) for table in (one, other) for path in table.paths()]
    shared = [name for name in columns if name in one.names and name in other.names]
    values = {name: [*one.columns[name].to_pylist(), *other.columns[name].to_pylist()] for name in shared}
    return SampleTable.from_columns(Path("/"), {"id": [*one.ids(), *other.ids()], "path": paths, **values})


def refuse_shared_bytes(
    table: SampleTable, groups: Sequence[Sequence[int]], train: np.ndarray, valid: np.ndarray, key: str = "split.check_bytes"
) -> None:
    """Raise UserError that names the files of the validation side that are also on the training side.

    train, valid: rows, (n,) integers. key: the config key that would allow them.
    """
    pairs = on_both_sides(groups, train, valid)
    if pairs:
        named = some([f"{table.id(a)} = {table.id(b)}" for a, b in pairs])
        raise UserError(
            f"split: {len(pairs)} files of the validation side are also on the training side ({named}); exclude one of each with "
            f"data_loader.args.corrections, or allow it with data_loader.args.{key}=false"
        )


def on_both_sides(groups: Sequence[Sequence[int]], train: np.ndarray, valid: np.ndarray) -> list[tuple[int, int]]:
    """Return (training row, validation row) for each file of the validation side that is also on the training side.

    train, valid: rows, (n,) integers.
    """
    ours, theirs = set(train.tolist()), set(valid.tolist())
    pairs = []
    for group in groups:
        twin = next((row for row in group if row in ours), None)
        pairs += [(twin, row) for row in group if row in theirs] if twin is not None else []
    return sorted(pairs, key=lambda pair: pair[1])


def rows_that_contradict(table: SampleTable, groups: Iterable[Sequence[int]], column: str) -> list[tuple[int, int]]:
    """Return (row, other row) with the same bytes and different values in a column; -1 and empty text contradict nothing."""
    pairs = []
    for group in groups:
        known = [(row, value) for row in group if (value := table.values(column, row)) not in (-1, "", None)]
        pairs += [(known[0][0], row) for row, value in known if value != known[0][1]]
    return pairs


def contradiction_warnings(table: SampleTable, groups: Iterable[Sequence[int]], column: str) -> list[str]:
    """Return a warning that names the files with the same bytes and different values in a column, if there are such files."""
    pairs = rows_that_contradict(table, groups, column)
    named = some([f"{table.id(a)} = {table.id(b)}" for a, b in pairs])
    return [f"warning: {len(pairs)} files with the same bytes as another differ from it in {column} ({named})"] if pairs else []


def _parts(rows: Iterable[int], paths: Sequence[str], key: Callable[[str], Hashable]) -> list[list[int]]:
    """Return the rows in groups of equal keys; groups of one row are left out."""
    parts: dict[Hashable, list[int]] = defaultdict(list)
    for row in rows:
        try:
            parts[key(paths[row])].append(row)
        except OSError:
            continue  # cannot be read, which is reported elsewhere
    return [part for value, part in parts.items() if len(part) > 1 and value]


def _size(path: str) -> int:
    return os.stat(path).st_size


def _tail(path: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        return _hash(file.read(TAIL))


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return _hash(file.read())


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
