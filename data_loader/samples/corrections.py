"""Corrections of wrong annotations, from a CSV file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from base.table import SampleTable
from data_loader.formats.csv_reader import read_csv
from utils.config import did_you_mean
from utils.errors import UserError

CORRECTION_COLUMNS = ["where", "is", "set", "to"]
EXCLUDE = "exclude"


class Correction(NamedTuple):
    """Set column `target` to `to` if column `where` is `value`; take the samples out if the target is `exclude`."""

    line: int
    where: str
    value: str
    target: str
    to: str


def correct(table: SampleTable, path: Path, others: Iterable[SampleTable] = ()) -> tuple[SampleTable, str]:
    """Return the table with the corrections of a CSV file, and a line with the numbers of changed cells and excluded samples.

    Each row of the file (`where,is,set,to`) means: if column WHERE is IS, set column SET to TO. SET may be `exclude`, which
    takes the samples out. Rows are applied in their order. others: further tables that the same file corrects. Raises UserError
    that names every line with an unknown column, a column that must not be changed, or no sample in any table.
    """
    problems: list[str] = []
    columns, elsewhere = _Columns(table), [_Columns(other) for other in others]
    excluded = np.zeros(len(table), dtype=bool)
    changed = 0
    for correction in _corrections(path):
        problem = _misnamed(correction, table)
        rows = [] if problem else columns.rows(correction.where, correction.value)
        if (problem or not rows) and any(_fits(correction, other) for other in elsewhere):
            continue
        if problem or not rows:
            problem = problem or f"no sample has {correction.where} = {correction.value}"
            problems.append(f"{path}: line {correction.line}: {problem}")
        elif correction.target == EXCLUDE:
            excluded[rows] = True
        else:
            changed += columns.set(correction.target, rows, correction.to)
    if problems:
        raise UserError("\n".join(problems))
    for name, values in columns.changed.items():
        table = table.with_column(name, pa.array(values, pa.string()))
    kept = table.take(np.flatnonzero(~excluded))
    return kept, f"corrections: {changed} values changed, {int(excluded.sum())} samples taken out ({path})"


class _Columns:
    """Columns as text, with rows searched by value and changed in place."""

    def __init__(self, table: SampleTable) -> None:
        self.table = table
        self.changed: dict[str, list[str]] = {}
        self._places: dict[str, dict[str, list[int]]] = {}

    def rows(self, name: str, value: str) -> list[int]:
        if name not in self._places:
            places = self._places[name] = defaultdict(list)
            for row, text in enumerate(self.changed.get(name) or self.table.strings(name)):
                places[text].append(row)
        return self._places[name].get(value, [])

    def set(self, name: str, rows: list[int], value: str) -> int:
        """Set the value of the rows; return the number of rows that had another value."""
        if name not in self.changed:
            self.changed[name] = self.table.strings(name)
        column = self.changed[name]
        different = [row for row in rows if column[row] != value]
        for row in different:
            column[row] = value
        self._places.pop(name, None)
        return len(different)


def _fits(correction: Correction, columns: _Columns) -> bool:
    """Return whether a correction changes a table."""
    return not _misnamed(correction, columns.table) and bool(columns.rows(correction.where, correction.value))


def _misnamed(correction: Correction, table: SampleTable) -> str:
    """Return the problem of the columns that a correction names; empty if there is none."""
    names = table.names
    for name, allowed in ((correction.where, names), (correction.target, [*names, EXCLUDE])):
        if name not in allowed:
            return f"no column {name}{did_you_mean(name, allowed)}; there are: {', '.join(names)}"
    fixed = correction.target in ("id", "path") or (
        correction.target in names and table.columns[correction.target].type != "string"
    )
    return f"{correction.target} cannot be changed; allowed: the other columns of text" if fixed else ""


def _corrections(path: Path) -> list[Correction]:
    names, rows, lines, _ = read_csv(path, may_be_empty=True)
    if names != CORRECTION_COLUMNS:
        raise UserError(f"{path}: line 1: found {','.join(names)}; the columns are {','.join(CORRECTION_COLUMNS)}")
    return [Correction(line, *row) for line, row in zip(lines, rows, strict=True)]
