"""Conversion of the text of annotations to class numbers, as declared; nothing is inferred from the order of folders."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from base.contracts import DataSpec
from base.labels import combined_class, combined_names, reported
from base.table import SampleTable, some
from base.types import SeveralNames
from data_loader.formats.names import meant_text
from data_loader.formats.repairs import Repair, with_repairs
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

MISSING = -1
FOUND = "data"  # in place of class names: the classes are the texts of the samples
NOT_KNOWN = ("nan", "na", "n/a", "<na>", "null", "none")  # in any case
TEXTS = 20  # largest number of unknown texts that an error names


class Label(Settings):
    """One attribute: its column, its classes in order, and the rules by which text becomes a class."""

    column: str | None = Field(default=None, description="column of the reader; default: the label's own name")
    classes: SeveralNames | Literal["data"] = Field(
        description='names of the classes, in the order of their numbers; or "data" for all texts of the column, numbers in '
        "their order, others sorted. A checkpoint keeps the classes that were found"
    )
    values: dict[str, str] | None = Field(default=None, description="text in the column -> class; default: the classes' names")
    bins: list[float] | None = Field(
        default=None, description="for numbers: the first number of each further class: [30, 60] is <30, 30-59, 60 and over"
    )
    fine_bins: list[float] | None = Field(
        default=None, description="for numbers: borders of finer classes for training, with all of `bins`; `classes` are reported"
    )
    missing: list[str] = Field(default=[""], description="texts that mean: not known")

    @model_validator(mode="after")
    def _consistent(self) -> Label:
        if self.classes == FOUND:
            if self.values is not None or self.bins is not None or self.fine_bins is not None:
                raise ValueError('classes "data" only without values and bins, which name classes')
            return self
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("class names that differ from each other")
        if self.bins is not None:
            self._require_borders(self.bins)
        elif self.fine_bins is not None:
            raise ValueError("fine_bins only together with bins")
        for value in (self.values or {}).values():
            if value not in self.classes:
                near = did_you_mean(value, self.classes)
                raise ValueError(f'values among the classes {", ".join(self.classes)}; "{value}" is none{near}')
        both = sorted(set(self.missing) & set(self.classes if self.values is None else self.values))
        if both and self.bins is None:
            raise ValueError(f'texts that are either missing or of a class; "{both[0]}" is both')
        return self

    def _require_borders(self, bins: list[float]) -> None:
        if self.values is not None:
            raise ValueError("either values or bins")
        if any(sorted(set(borders)) != borders for borders in (bins, self.fine_bins or [])):
            raise ValueError("borders in ascending order, each once")
        if len(bins) != len(self.classes) - 1:
            raise ValueError(f"{len(self.classes) - 1} borders in bins for {len(self.classes)} classes; there are {len(bins)}")
        if self.fine_bins is not None and not set(bins) <= set(self.fine_bins):
            raise ValueError("fine_bins that contain every border of bins")

    @property
    def names(self) -> list[str]:
        """The names of the classes; none as long as they are to be found in the data."""
        return [] if isinstance(self.classes, str) else list(self.classes)

    def merged(self) -> list[int] | None:
        """Return for each fine class the class that it is reported as; None without fine classes."""
        if self.fine_bins is None or self.bins is None:
            return None
        return [bisect.bisect_right(self.bins, border) for border in (-float("inf"), *self.fine_bins)]

    def number(self, text: str) -> int | None:
        """Return the class number of a text, -1 if the label is not known, None if the text has no meaning.

        A text is compared as it is, then without blanks and in one Unicode form, as a whole number, and in any case. Words by
        which programs write a missing value (nan, NA, null) mean: not known, unless they are texts of a class.
        """
        if self.bins is not None and (number := _number(text)) is not None:
            return bisect.bisect_right(self.fine_bins or self.bins, number)
        known = [] if self.bins is not None else list(self.classes if self.values is None else self.values)
        meant = meant_text(text, [*self.missing, *known])
        if meant is None:
            return MISSING if text.strip().casefold() in NOT_KNOWN else None
        if meant in self.missing:
            return MISSING
        return self.classes.index(self.values[meant] if self.values is not None else meant)

    def plainly(self, text: str) -> bool:
        """Return whether a text stands in the config as it is, or is a number for `bins`."""
        known = self.classes if self.values is None else self.values
        return text in self.missing or (_number(text) is not None if self.bins is not None else text in known)

    def allowed(self) -> str:
        """Return the allowed texts, for a message."""
        return "numbers" if self.bins is not None else ", ".join(self.values if self.values is not None else self.classes)


class CombinedLabel(Settings):
    """One class for every combination of other labels' `classes`: for 3, 2 and 3 of them first * 6 + second * 3 + third."""

    combine: SeveralNames = Field(description="the labels; the first one is the leading digit")


def _kind(value: Any) -> str:
    return "combined" if isinstance(value, CombinedLabel) or (isinstance(value, dict) and "combine" in value) else "read"


AnyLabel = Annotated[Annotated[Label, Tag("read")] | Annotated[CombinedLabel, Tag("combined")], Discriminator(_kind)]
Labels = dict[str, AnyLabel]


def _without_removed(labels: Any) -> Any:
    """Return the labels that are not null: null removes an inherited label."""
    return {name: label for name, label in labels.items() if label is not None} if isinstance(labels, dict) else labels


GivenLabels = Annotated[Labels, BeforeValidator(_without_removed, json_schema_input_type=dict[str, AnyLabel | None])]


def read_labels(labels: Labels) -> dict[str, Label]:
    """Return the labels that come from a column."""
    return {name: label for name, label in labels.items() if isinstance(label, Label)}


def learned_labels(labels: Labels, learn: Sequence[str] | None) -> list[str]:
    """Return the labels that the config's `learn` names; by default all labels that are not part of a combined label."""
    parts = {part for label in labels.values() if isinstance(label, CombinedLabel) for part in label.combine}
    return [name for name in labels if name not in parts] if learn is None else list(learn)


def label_spec(labels: Labels, learn: Sequence[str] | None) -> DataSpec:
    """Return the classes of the learned labels, without counts; names that `label_problems` reports are left out."""
    spec = DataSpec()
    for name in learned_labels(labels, learn):
        label = labels.get(name)
        if isinstance(label, CombinedLabel):
            parts = {part: found for part in label.combine if (found := read_labels(labels).get(part)) is not None}
            spec.combined[name] = {part: found.names for part, found in parts.items()}
            spec.classes[name] = combined_names([found.names for found in parts.values()])
        elif label is not None:
            spec.classes[name] = label.names
            if (merged := label.merged()) is not None:
                spec.merged[name] = merged
    return spec


def with_classes(labels: Labels, names: Mapping[str, list[str]]) -> Labels:
    """Return the labels, of which those without classes of their own have these. names: label -> names of its classes."""
    open_labels = {name: label for name, label in read_labels(labels).items() if label.classes == FOUND and names.get(name)}
    return labels | {name: label.model_copy(update={"classes": names[name]}) for name, label in open_labels.items()}


def found_classes(table: SampleTable, labels: Labels, source: str) -> dict[str, list[str]]:
    """Return label -> the texts of its column, for labels whose classes are to be found: numbers in order, or else sorted.

    Labels whose column is missing are left out. Raises UserError for a label with fewer than two texts.
    """
    found = {}
    for name, label in read_labels(labels).items():
        column = label.column or name
        if label.classes != FOUND or column not in table.names:
            continue
        texts = sorted({text.strip() for text in table.strings(column)} - {"", *label.missing})
        if len(texts) < 2:
            raise UserError(f"{source}: label {name}: {column} says {some(texts) or 'nothing'}; two different texts are needed")
        values = {text: number for text in texts if (number := _number(text)) is not None}
        found[name] = sorted(texts, key=values.__getitem__) if len(values) == len(texts) else texts
    return found


def label_problems(labels: Labels, learn: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for combined or learned labels that do not exist, or that are named twice."""
    for name, label in labels.items():
        if isinstance(label, CombinedLabel):
            yield from _misnamed_labels(f"labels.{name}.combine", label.combine, list(read_labels(labels)))
    yield from _misnamed_labels("learn", learn or [], list(labels))


def _misnamed_labels(key: str, names: Sequence[str], allowed: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names):
        if name not in allowed:
            yield f"{key}[{index}]", f'there is no label "{name}"{did_you_mean(name, allowed)}; allowed: {", ".join(allowed)}'
        elif name in names[:index]:
            yield f"{key}[{index}]", f'"{name}" is given twice; keep one'


def _number(text: str) -> float | None:
    try:
        number = float(text.replace("_", "x"))  # refuse 1_000, which Python reads as a number
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def add_labels(table: SampleTable, labels: Labels, source: str) -> SampleTable:
    """Return the table with a column of class numbers (int16, -1 unknown) for each label.

    A combined label is known if all its parts are known. Raises UserError that names every missing column and every text
    without a meaning, with samples.
    """
    problems: list[str] = []
    read = read_labels(labels)
    for name, label in read.items():
        column = label.column or name
        if column not in table.names and len({*label.classes} - {*table.names}) == 0:
            table = _from_one_hot(table, column, label, problems, source)
        if column not in table.names:
            near = did_you_mean(column, table.names)
            problems.append(f"{source}: label {name}: there is no column {column}{near}; there are: {', '.join(table.names)}")
            continue
        encoded = table.columns[column].combine_chunks().dictionary_encode()
        texts = ["" if text is None else str(text) for text in encoded.dictionary.to_pylist()]
        numbers = [label.number(text) for text in texts]
        codes = np.asarray(encoded.indices.fill_null(len(numbers)))
        lookup = np.array([MISSING - 1 if n is None else n for n in numbers] + [MISSING], dtype=np.int16)
        values = lookup[codes]
        problems += _meaningless(table, values, column, name, label, source)
        table = with_repairs(table, _otherwise(table, codes, texts, numbers, column, label))
        table = table.with_column(f"label:{name}" if name in table.names else name, pa.array(values))
    if problems:
        raise UserError("\n".join(problems))
    for name, combined in labels.items():
        if isinstance(combined, CombinedLabel):
            table = _combine(table, name, {part: read[part] for part in combined.combine})
    return _rename_labels(table, labels)


def _from_one_hot(table: SampleTable, column: str, label: Label, problems: list[str], source: str) -> SampleTable:
    """Return the table with a column of class names, from a column of 0 and 1 for each class."""
    ones = np.array([[text.strip().lower() in ("1", "1.0", "true") for text in table.strings(name)] for name in label.classes])
    rows = np.flatnonzero(ones.sum(axis=0) > 1).tolist()
    if rows:
        named = some([table.id(row) for row in rows])
        problems.append(f"{source}: columns {', '.join(label.classes)}: {len(rows)} samples are of several classes ({named})")
    names = np.where(ones.any(axis=0), np.array(label.classes, object)[ones.argmax(axis=0)], "")
    table = table.with_column(column, pa.array(names.tolist(), pa.string()))
    return with_repairs(table, [Repair("", f"labels read from the columns {', '.join(label.classes)}, one for each class")])


def _otherwise(
    table: SampleTable, codes: np.ndarray, texts: list[str], numbers: Sequence[int | None], column: str, label: Label
) -> list[Repair]:
    """Return a repair for each sample whose text means a class, but is not written like it. codes: (N,) places in `texts`."""
    repairs = []
    for code, (text, number) in enumerate(zip(texts, numbers, strict=True)):
        if number is None or label.plainly(text):
            continue
        meaning = "not known" if number == MISSING else f"{label.classes[number]}"
        what = f'values of {column} read as {meaning}, written "{some([text])}"'
        repairs += [Repair(table.id(row), what) for row in np.flatnonzero(codes == code).tolist()]
    return repairs


def _combine(table: SampleTable, name: str, parts: dict[str, Label]) -> SampleTable:
    """Return the table with one more label, of all combinations of its parts' reported classes."""
    spec = label_spec(dict(parts), list(parts))
    columns = [table.numbers(f"label:{part}" if f"label:{part}" in table.names else part) for part in parts]
    columns = [reported(column, spec, part) for column, part in zip(columns, parts, strict=True)]
    combined = combined_class(columns, [len(spec.classes[part]) for part in parts])
    return table.with_column(f"label:{name}" if name in table.names else name, pa.array(combined.astype(np.int16)))


def _rename_labels(table: SampleTable, labels: Mapping[str, Any]) -> SampleTable:
    """Give each label the name of its raw column; the raw column is kept with the prefix `raw:`."""
    for name in labels:
        if f"label:{name}" in table.names:
            values = table.columns[f"label:{name}"]
            table = table.with_column(f"raw:{name}", table.columns[name]).with_column(name, values)
            table = SampleTable(table.root, table.columns.drop_columns([f"label:{name}"]), table.related)
    return table


def _meaningless(table: SampleTable, values: np.ndarray, column: str, name: str, label: Label, source: str) -> list[str]:
    """Return a line for each text without a meaning, the most frequent first."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in np.flatnonzero(values == MISSING - 1).tolist():
        ids[str(table.values(column, row))].append(table.id(row))
    texts = sorted(ids, key=lambda text: -len(ids[text]))
    lines = []
    for text in texts[:TEXTS]:
        near = did_you_mean(text, label.values or label.classes) if label.bins is None else ""
        text_in_samples = f'"{some([text])}"{near} in {len(ids[text])} samples ({some(ids[text], 3)})'
        lines.append(f"{source}: {column}: {text_in_samples}; allowed: {label.allowed()}")
    if lines and label.bins is None:
        lines[-1] += f"; data_loader.args.labels.{name}.values says what other texts mean, missing which mean nothing"
    elif lines:
        lines[-1] += f"; data_loader.args.labels.{name}.missing says which texts mean nothing"
    more = [f"{source}: {column}: and {len(texts) - TEXTS:,} more texts that mean nothing"] if len(texts) > TEXTS else []
    return lines + more
