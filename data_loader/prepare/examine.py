"""Report on a data set before training: its files, labels, people, and the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from base.contracts import DataSpec
from base.labels import reported
from base.table import SampleTable, some
from data_loader.formats.repairs import repair_lines
from data_loader.pictures import scan
from data_loader.pictures.decode import Size
from data_loader.samples import duplicates, splits
from data_loader.samples.samples import Samples, no_test_set
from data_loader.samples.splits import Split
from utils.errors import UserError

T = TypeVar("T")
Rows = tuple[np.ndarray, np.ndarray]  # rows for training, and for validation
Sides = tuple[SampleTable, SampleTable]  # samples to train on, and to validate on
SIDES = ("train", "valid")
UNKNOWN = "(unknown)"
SHOWN = 20  # largest number of lines of a kind in the text; the JSON report has all
PERSON_WORDS = ("person", "people", "identity", "subject", "face_id", "patient", "driver")


@dataclass
class Report:
    """The results.

    `errors`: reasons why training would refuse the data; `warnings`: data that training accepts, but to be checked.
    """

    data_dir: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, int] = field(default_factory=dict)  # part -> number: all, train, valid, test
    people: dict[str, Any] = field(default_factory=dict)  # column, train, valid
    sizes: dict[str, Any] = field(default_factory=dict)  # smallest, largest, frequent
    labels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # label -> class -> side -> samples
    unreadable: dict[str, str] = field(default_factory=dict)  # path -> reason
    identical: list[list[str]] = field(default_factory=list)  # sets of ids

    @property
    def usable(self) -> bool:
        """True if training would start."""
        return not self.errors

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Return the step's result; None if the step refuses the data, after adding its errors."""
        try:
            return step()
        except UserError as error:
            self.errors += str(error).splitlines()
            return None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"usable": self.usable, **asdict(self)}

    def text(self) -> str:
        """Return the report as text."""
        lines = [self.data_dir, *(f"  {name:<10} {text}" for name, text in self._summary())]
        for label, classes in self.labels.items():
            lines += ["", *_label_lines(label, classes)]
        for title, entries in (("errors", self.errors), ("warnings", self.warnings)):
            more = [f"  … and {len(entries) - SHOWN:,} more; -o FILE writes all"] if len(entries) > SHOWN else []
            lines += ["", f"{title} ({len(entries)})", *(f"  {line}" for line in entries[:SHOWN]), *more] if entries else []
        return "\n".join([*lines, "", "training would start" if self.usable else "training would refuse these data"])

    def _summary(self) -> Iterable[tuple[str, str]]:
        yield from (("note", note) for note in self.notes)
        counts = {"all": "in all", "train": "to train", "valid": "to validate", "test": "to predict"}
        yield "samples", ", ".join(f"{number:,} {counts[part]}" for part, number in self.samples.items())
        if self.people:
            yield "people", f"{self.people['train']:,} to train, {self.people['valid']:,} to validate ({self.people['column']})"
        if self.sizes:
            frequent = ", ".join(f"{number:,} of {size}" for size, number in self.sizes["frequent"].items())
            yield "sizes", f"{self.sizes['smallest']} to {self.sizes['largest']} (height x width), most frequent {frequent}"
        twins = sum(map(len, self.identical))
        yield "files", f"{len(self.unreadable):,} cannot be read, {twins:,} have the same bytes as another"


def examine(samples: Samples) -> Report:
    """Check everything; a problem of one kind does not hide problems of another."""
    report = Report(str(samples.data_dir))
    read = report.attempt(samples.read)
    if read is None:
        return report
    table, report.notes = read
    report.samples["all"] = len(table)
    report.warnings += _plain(samples.unaccounted(table))
    table, labelled = _look_at_samples(samples, table, report)
    groups = duplicates.identical_files(table)
    report.identical = [[table.id(row) for row in group] for group in groups]
    spec = samples.spec if labelled else DataSpec()
    split, group = samples.split, samples.group
    for column in (name for name in (*spec.classes, group) if name in table.names):  # classes of boxes have no column
        report.warnings += _plain(duplicates.contradiction_warnings(table, groups, str(column)))
    if samples.valid_reader is not None:
        _look_at_own_side(samples, table, spec, report)
    elif (
        split is not None
        and (sides := report.attempt(lambda: splits.split_rows(table, split, groups if split.check_bytes else ()))) is not None
    ):
        _look_at_split(samples, split, table, spec, sides, groups, report)
    if samples.test_reader is not None:
        _look_at_test(samples, report)
    return report


def _look_at_samples(samples: Samples, table: SampleTable, report: Report) -> tuple[SampleTable, bool]:
    """Return the samples that can be read, and whether they have labels; labelled if they do."""
    table = _look_at_files(samples, table, report)
    labelled = report.attempt(lambda: samples.label(table, str(samples.data_dir), required=True))
    table = table if labelled is None else labelled
    report.warnings += _plain(repair_lines(table))
    report.attempt(lambda: samples.boxed(table))
    return table, labelled is not None


def _look_at_files(samples: Samples, table: SampleTable, report: Report) -> SampleTable:
    """Decode every file; return the samples that can be read."""
    cut_off: list[int] = []
    answers = list(
        tqdm(
            scan.survey(table, None, lambda row, _: cut_off.append(row)),
            total=len(table),
            desc="decoding",
            unit="image",
            disable=None,
            leave=False,
        )
    )
    failures = {table.id(row): reason for row, reason in enumerate(answers) if isinstance(reason, str)}
    paths = dict(zip(table.ids(), table.paths(), strict=True))
    report.unreadable = {f"{table.root}/{paths[name]}": reason for name, reason in failures.items()}
    lines = [f"{path}: {reason}" for path, reason in report.unreadable.items()]
    if samples.unreadable == "error" or len(failures) == len(table):
        report.errors += lines
    else:
        report.warnings += lines
    if cut_off:
        named = some([table.id(row) for row in sorted(cut_off)])
        report.warnings.append(f"{len(cut_off):,} pictures are cut off, and decoded as far as they go ({named})")
    sizes = [size for size in answers if not isinstance(size, str)]
    if sizes:
        report.sizes = _sizes(sizes)
        small = sum(height < samples.size[0] or width < samples.size[1] for height, width in sizes)
        if small:
            wanted = "{} x {}".format(*samples.size)
            report.warnings.append(f"{small:,} pictures are smaller than data_loader.args.image_size ({wanted}) and are enlarged")
    return table.drop(failures)


def _sizes(sizes: list[Size]) -> dict[str, Any]:
    by_area = sorted(set(sizes), key=lambda size: size[0] * size[1])
    frequent = {"{} x {}".format(*size): count for size, count in Counter(sizes).most_common(3)}
    return {"smallest": "{} x {}".format(*by_area[0]), "largest": "{} x {}".format(*by_area[-1]), "frequent": frequent}


def _look_at_own_side(samples: Samples, table: SampleTable, spec: DataSpec, report: Report) -> None:
    """Check validation samples that are not part of the same table."""
    report.samples["train"] = len(table)
    own = report.attempt(samples.own_side)
    if own is None:
        return
    valid, notes, skipped = own
    report.samples["valid"] = len(valid)
    failures = {**skipped, **scan.unreadable(valid, samples.size)}
    lines = report.errors if samples.unreadable == "error" else report.warnings
    lines += [f"to validate: {name}: {reason}" for name, reason in failures.items()]
    report.attempt(lambda: samples.boxed(valid))
    report.notes += notes
    divided = report.attempt(lambda: samples.divide(table, valid))
    if divided is None:
        return
    report.samples |= {"train": len(divided.train), "valid": len(divided.valid)}
    report.warnings += _plain(divided.notes)
    _look_at_labels(samples, (table, valid), spec, report)
    if samples.split is not None and samples.group is not None:
        _look_at_people(samples.group, (table, valid), report)


def _look_at_split(
    samples: Samples, split: Split, table: SampleTable, spec: DataSpec, sides: Rows, groups: list[list[int]], report: Report
) -> None:
    train, valid = sides
    report.samples |= {"train": len(train), "valid": len(valid)}
    report.warnings += _plain(splits.remarks(table, split, train, valid, spec))
    parts = (table.take(train), table.take(valid))
    _look_at_labels(samples, parts, spec, report)
    if split.check_bytes:
        report.attempt(lambda: duplicates.refuse_shared_bytes(table, groups, train, valid))
    elif shared := duplicates.on_both_sides(groups, train, valid):
        named = some([f"{table.id(a)} = {table.id(b)}" for a, b in shared])
        report.warnings.append(f"split: {len(shared)} files of the validation side are also on the training side ({named})")
    _look_at_people(split.group, parts, report)


def _look_at_labels(samples: Samples, sides: Sides, spec: DataSpec, report: Report) -> None:
    """Count labels and objects by class and side; warn of samples whose label is not known."""
    report.labels = _label_counts(spec, sides)
    for label, classes in report.labels.items():
        if unknown := sum(classes[UNKNOWN].values()):
            report.warnings.append(f"{label} is not known for {unknown:,} samples")
    _look_at_objects(samples, spec, sides, report)


def _look_at_people(group: str | None, sides: Sides, report: Report) -> None:
    """Count people; if the split names no column, warn if a column that seems to name people has values on both sides."""
    shared = [name for name in sides[0].names if name in sides[1].names]
    for column in [group] if group in shared else filter(_names_people, shared):
        train, valid = (set(side.strings(str(column))) - {""} for side in sides)
        report.people = {"column": column, "train": len(train), "valid": len(valid)}
        if both := sorted(train & valid):
            advice = f'set data_loader.args.split.group="{column}" if it says who is in the picture'
            report.warnings.append(f"split: {len(both):,} values of {column} are on both sides ({some(both)}); {advice}")


def _look_at_objects(samples: Samples, spec: DataSpec, sides: Sides, report: Report) -> None:
    """Count objects by class and side, before any rule that keeps some of the samples; warn of classes that a side lacks."""
    counts = [samples.object_counts(side) for side in sides] if spec.classes else [{}]
    for label in counts[0]:
        of_side = list(zip(SIDES, (side[label] for side in counts), strict=True))
        names = spec.classes[label]
        report.labels[label] = {name: {side: numbers[number] for side, numbers in of_side} for number, name in enumerate(names)}
        for side, numbers in of_side:
            if lacking := [name for name, count in zip(names, numbers, strict=True) if not count]:
                report.warnings.append(f"no sample to {'train' if side == 'train' else 'validate'} shows any {some(lacking)}")


def _names_people(column: str) -> bool:
    return any(word in column.lower() for word in PERSON_WORDS)


def _label_counts(spec: DataSpec, sides: Sides) -> dict[str, dict[str, dict[str, int]]]:
    """Return label -> reported class, or UNKNOWN -> side -> number of samples."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for label, names in spec.classes.items():
        if any(label not in side.names for side in sides):
            continue  # without a column of class numbers: a loader of other annotations counts in its own way
        values = [reported(side.numbers(label), spec, label) for side in sides]
        counts[label] = {
            name: {side: int((column == number).sum()) for side, column in zip(SIDES, values, strict=True)}
            for number, name in [*enumerate(names), (-1, UNKNOWN)]
        }
    return counts


def _look_at_test(samples: Samples, report: Report) -> None:
    try:
        table = samples.table("test")
    except UserError as error:
        report.warnings += [no_test_set(line) for line in str(error).splitlines()]
        return
    report.samples["test"] = len(table)
    failures = scan.unreadable(table, samples.size)
    for name, reason in failures.items():
        report.warnings.append(f"to predict: {name}: {reason}")


def _label_lines(label: str, classes: dict[str, dict[str, int]]) -> list[str]:
    width = max(map(len, (*classes, label)))
    rows = [(name, sides) for name, sides in classes.items() if name != UNKNOWN or any(sides.values())]
    counts = [f"  {name:<{width}} {sides['train']:>10,} {sides['valid']:>10,}" for name, sides in rows]
    return [f"  {label:<{width}} {'train':>10} {'valid':>10}", *counts]


def _plain(lines: Iterable[str]) -> list[str]:
    return [line.removeprefix("warning: ") for line in lines]
