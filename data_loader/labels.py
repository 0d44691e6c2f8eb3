"""From the text of annotations to class numbers, as declared; nothing is inferred from the order of folders."""

from __future__ import annotations

import bisect
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from base.table import SampleTable, some
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

MISSING = -1


class Label(Settings):
    """One attribute: which column it comes from, its classes in order, and how text becomes one of them."""

    column: str | None = Field(default=None, description="column of the reader; default: the label's own name")
    classes: Annotated[list[str], Field(min_length=2)] = Field(description="names of the classes, in the order of their numbers")
    values: dict[str, str] | None = Field(default=None, description="text in the column -> class; default: the classes' names")
    bins: list[float] | None = Field(
        default=None, description="for numbers: borders, each the first number of the next class: [30, 60] is <30, 30-59, 60 and over"
    )
    fine_bins: list[float] | None = Field(
        default=None, description="for numbers: more borders, among them all of `bins`, to train finer classes that are reported as `classes`"
    )
    missing: list[str] = Field(default=[""], description="texts that mean: not known")

    @model_validator(mode="after")
    def _consistent(self) -> Label:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("class names that differ from each other")
        if self.values is not None and self.bins is not None:
            raise ValueError("either values or bins")
        for value in (self.values or {}).values():
            if value not in self.classes:
                raise ValueError(f'values among the classes {", ".join(self.classes)}; "{value}" is none{did_you_mean(value, self.classes)}')
        for bins in (self.bins, self.fine_bins):
            if bins is not None and sorted(set(bins)) != bins:
                raise ValueError("borders in ascending order, each once")
        if self.bins is not None and len(self.bins) != len(self.classes) - 1:
            raise ValueError(f"{len(self.classes) - 1} borders in bins for {len(self.classes)} classes; there are {len(self.bins)}")
        if self.fine_bins is not None and not set(self.bins or [float("nan")]) <= set(self.fine_bins):
            raise ValueError("fine_bins that contain every border of bins")
        return self

    def merged(self) -> list[int] | None:
        """The class that each fine class is reported as; None without fine classes."""
        if self.fine_bins is None or self.bins is None:
            return None
        return [bisect.bisect_right(self.bins, border) for border in (-float("inf"), *self.fine_bins)]

    def number(self, text: str) -> int | None:
        """The class of a text, -1 where it is not known, None where the text means nothing."""
        if text in self.missing:
            return MISSING
        if self.bins is not None:
            try:
                return bisect.bisect_right(self.fine_bins or self.bins, float(text))
            except ValueError:
                return None
        name = self.values.get(text) if self.values is not None else text
        return self.classes.index(name) if name in self.classes else None

    def allowed(self) -> str:
        """What texts mean something, for a message."""
        return "numbers" if self.bins is not None else ", ".join(self.values if self.values is not None else self.classes)


def add_labels(table: SampleTable, labels: dict[str, Label], source: str) -> SampleTable:
    """The table with a column of class numbers (int16, -1 unknown) per label.

    Raises UserError naming every column that is missing and every text that means nothing, with samples.
    """
    problems: list[str] = []
    for name, label in labels.items():
        column = label.column or name
        if column not in table.names:
            problems.append(
                f"{source}: label {name}: there is no column {column}{did_you_mean(column, table.names)}; there are: {', '.join(table.names)}"
            )
            continue
        encoded = table.columns[column].combine_chunks().dictionary_encode()
        numbers = [label.number("" if text is None else str(text)) for text in encoded.dictionary.to_pylist()]
        codes = np.asarray(encoded.indices.fill_null(len(numbers)))
        lookup = np.array([MISSING - 1 if n is None else n for n in numbers] + [MISSING], dtype=np.int16)
        values = lookup[codes]
        problems += _meaningless(table, values, column, label, source)
        table = table.with_column(f"label:{name}" if name in table.names else name, pa.array(values))
    if problems:
        raise UserError("\n".join(problems))
    return _rename_labels(table, labels)


def _rename_labels(table: SampleTable, labels: dict[str, Label]) -> SampleTable:
    """Labels take the names of the raw columns they stand for, which stay under `raw:`."""
    for name in labels:
        if f"label:{name}" in table.names:
            values = table.columns[f"label:{name}"]
            table = table.with_column(f"raw:{name}", table.columns[name]).with_column(name, values)
            table = SampleTable(table.root, table.columns.drop_columns([f"label:{name}"]))
    return table


def _meaningless(table: SampleTable, values: np.ndarray, column: str, label: Label, source: str) -> list[str]:
    rows = np.flatnonzero(values == MISSING - 1)
    if not len(rows):
        return []
    texts = Counter(str(table.values(column, int(row))) for row in rows)
    lines = []
    for text, count in texts.most_common():
        ids = [table.id(int(row)) for row in rows if str(table.values(column, int(row))) == text]
        near = did_you_mean(text, label.values or label.classes) if label.bins is None else ""
        lines.append(f'{source}: {column}: "{text}"{near} in {count} samples ({some(ids, 3)}); allowed: {label.allowed()}')
    return lines


# Corrections --------------------------------------------------------------------------------------------------------

CORRECTION_COLUMNS = ["where", "is", "set", "to"]
EXCLUDE = "exclude"


def correct(table: SampleTable, path: Path) -> tuple[SampleTable, str]:
    """The table with the corrections of a CSV file, and a line that says how many cells and samples they touched.

    Each row of the file (`where,is,set,to`) reads: where column WHERE is IS, set column SET to TO. SET may be `exclude`,
    which takes the samples out. Raises UserError naming every line with an unknown column or without a sample.
    """
    problems: list[str] = []
    excluded = np.zeros(len(table), dtype=bool)
    changed = 0
    columns: dict[str, list[Any]] = {}
    for line, row in _correction_rows(path):
        unknown = [name for name in (row["where"], row["set"]) if name not in (*table.names, EXCLUDE) or row["where"] == EXCLUDE]
        if unknown:
            near = did_you_mean(unknown[0], table.names)
            problems.append(f"{path}: line {line}: no column {unknown[0]}{near}; there are: {', '.join(table.names)}")
            continue
        keys = columns.setdefault(row["where"], table.strings(row["where"]))
        rows = [index for index, key in enumerate(keys) if key == row["is"]]
        if not rows:
            problems.append(f"{path}: line {line}: no sample has {row['where']} = {row['is']}")
        elif row["set"] == EXCLUDE:
            excluded[rows] = True
        else:
            target = columns.setdefault(row["set"], table.strings(row["set"]))
            for index in rows:
                changed += target[index] != row["to"]
                target[index] = row["to"]
    if problems:
        raise UserError("\n".join(problems))
    for name, values in columns.items():
        table = table.with_column(name, pa.array(values, pa.string()))
    kept = table.take(np.flatnonzero(~excluded))
    return kept, f"corrections: {changed} values changed, {int(excluded.sum())} samples taken out ({path})"


def _correction_rows(path: Path) -> Sequence[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or list(reader.fieldnames) != CORRECTION_COLUMNS:
                found = ",".join(reader.fieldnames or [])
                raise UserError(f"{path}: line 1: found {found or 'nothing'}; the columns are {','.join(CORRECTION_COLUMNS)}")
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV text in UTF-8 ({error})") from None
    for line, row in rows:
        if None in row.values() or None in row:
            raise UserError(f"{path}: line {line}: has {len([v for v in row.values() if v])} fields; needed: {','.join(CORRECTION_COLUMNS)}")
    return rows
