"""The samples of a loader: read, corrected, labelled, split. A task's subclass defines the labels."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from base.base_reader import BaseReader
from base.contracts import DataSpec
from base.table import SampleTable, some
from data_loader.crop.crops import COLUMN as CROP
from data_loader.crop.crops import Crops
from data_loader.crop.given_boxes import GivenBoxes
from data_loader.formats.names import with_files
from data_loader.formats.repairs import repair_lines
from data_loader.pictures import scan
from data_loader.pictures.decode import Size
from data_loader.pictures.pictures import Source
from data_loader.samples import duplicates, splits
from data_loader.samples.accounting import unaccounted
from data_loader.samples.corrections import correct
from data_loader.samples.splits import Split
from utils import files
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

LABELLED = ("train", "valid")  # the splits whose samples have targets; the samples of others have an error if unreadable


class SampleSettings(Settings):
    """Config of the samples of every loader."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    data_dir: str = Field(description="folder of the data set")
    reader: BaseReader = Field(description="reader of the samples and their annotations")
    split: Split | None = Field(default=None, description="division of the samples into training and validation")
    valid_reader: BaseReader | None = Field(
        default=None,
        description="reader of validation samples of their own, in place of a split; `split` may name their `group` then",
    )
    unreadable: Literal["error", "skip"] = Field(
        default="error",
        description="refuse training images that cannot be decoded, all by name, or skip them with a report",
    )


def wrong_sides(args: Any) -> Iterable[tuple[str, str]]:
    """Yield (key, message) unless the arguments say in exactly one way which samples are validated on."""
    split: Split | None = args.split
    way = split.way if split is not None else None
    ways = [*(["valid_reader"] if args.valid_reader is not None else []), *([f"split.{way}"] if way is not None else [])]
    if len(ways) != 1:
        found = " and ".join(ways) or "none"
        allowed = "one of valid_reader, split.valid, split.folds and split.column, which says what is validated on"
        yield "split", f"found {found}; allowed: {allowed}"
    elif args.valid_reader is not None and split is not None and split.stratify:
        yield "split.stratify", "has no use beside valid_reader, since nothing is divided; leave it out"


def no_test_set(reason: str) -> str:
    """Return the line that says why there is no test set."""
    return f"there is no test set for data_loader.args.test_reader, which training does not need: {reason}"


class AnnotationSettings(SampleSettings):
    """Config of samples with annotations: the reader of the samples to predict, and corrections."""

    test_reader: BaseReader | None = Field(default=None, description="reader of the samples to predict, for test.py")
    corrections: str | None = Field(
        default=None, description="CSV file (columns where,is,set,to) with corrections of the annotations"
    )


class Division(NamedTuple):
    """The samples to train and to validate on."""

    train: SampleTable
    valid: SampleTable
    notes: list[str]  # warnings about the samples
    whole: SampleTable | None = None  # the training side before samples were left out; None if none were


@dataclass(frozen=True)
class Sides:
    """The samples that a run trains on and validates on, once they are read."""

    train: SampleTable
    valid: SampleTable
    notes: list[str]
    skipped: dict[str, str]  # sample id -> reason why its picture cannot be read
    split_hash: str


class Samples(ABC):
    """The samples of a loader, which are read at the first use of a split.

    A subclass defines the labels, and sets the further values of its config: `test_reader`, `corrections`.
    """

    own_side_key: ClassVar[str] = "split.check_bytes"  # the key that allows identical files in a validation set of its own
    test_reader: BaseReader | None = None
    corrections: str | None = None

    def __init__(self, settings: SampleSettings, size: Size, spec: DataSpec, crops: Crops | None = None) -> None:
        """Take the settings. size: (height, width) of decoded pictures. spec: as the config declares it, without counts."""
        self.data_dir, self.reader, self.unreadable = Path(settings.data_dir), settings.reader, settings.unreadable
        self.split, self.valid_reader = settings.split, settings.valid_reader
        self.size, self.spec = size, spec
        self.boxes = GivenBoxes(crops, self.data_dir) if crops is not None else None  # None for whole pictures
        self._sides: Sides | None = None

    # Methods for subclasses -----------------------------------------------------------------------------------------

    @abstractmethod
    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table with label columns; unchanged if the columns are missing and not required.

        source: the name of the data for an error. Raises UserError for labels that are missing or not known.
        """

    def labelled(self, split: str) -> bool:
        """Return whether the samples of a split have the truth that metrics need."""
        return split != "test"

    def object_counts(self, table: SampleTable) -> dict[str, list[int]]:
        """Return label -> number of objects of each class, for labels with several objects in a sample; none by default."""
        return {}

    def correctable(self, table: SampleTable) -> bool:
        """Return whether corrections may change a table."""
        return True

    def read_table(self, reader: BaseReader) -> SampleTable:
        """Return the samples that a reader finds in the data folder, each with its file."""
        return with_files(reader.read(self.data_dir))

    def read(self) -> tuple[SampleTable, list[str]]:
        """Return all samples of `reader`, in order of id, corrected; and lines on the corrections."""
        return self._corrected(self._raw(self.reader), self.valid_reader)

    def read_valid(self) -> tuple[SampleTable, list[str]]:
        """Return all samples of `valid_reader` like `read`."""
        assert self.valid_reader is not None, "only a side of its own is read"
        return self._corrected(self._raw(self.valid_reader), self.reader)

    def own_side(self) -> tuple[SampleTable, list[str], dict[str, str]]:
        """Return the samples of `valid_reader` with labels, lines on them, and by sample id why a picture is left out.

        Raises UserError as `label` does, and for pictures that cannot be read.
        """
        table, notes = self.read_valid()
        table, skipped = self._without_unreadable(table)
        table = self.label(table, str(self.data_dir), required=True)
        return table, [*notes, *repair_lines(table)], skipped

    def divide(self, table: SampleTable, own: SampleTable | None = None) -> Division:
        """Divide all labelled samples into samples to train on and samples to validate on.

        own: the samples of `valid_reader`, all of which are validated on; None to divide `table` by the split. Raises UserError
        if a file is on both sides, or a person, and for the reasons of `splits.split_rows`.
        """
        if own is not None:
            return Division(table, own, [*self._leaks(table, own), *splits.missing_class_warnings(table, own, self.spec)])
        assert self.split is not None, "checked with the config"
        copies = duplicates.identical_files(table) if self.checks_bytes else []
        train, valid = splits.split_rows(table, self.split, copies)
        notes = self._same_bytes(table, copies, train, valid)
        notes += splits.remarks(table, self.split, train, valid, self.spec)
        return Division(table.take(train), table.take(valid), notes)

    def unaccounted(self, table: SampleTable) -> list[str]:
        """Return warnings for files that are in no sample of any reader. table: the samples to train and validate on."""

        def others() -> Iterator[SampleTable]:
            for reader in self.readers():
                if reader is not self.reader:
                    with contextlib.suppress(UserError):  # told where the samples are needed
                        yield self.read_table(reader)

        return unaccounted(table, others)

    def readers(self) -> list[BaseReader]:
        """Return every reader of the config."""
        return [reader for reader in (self.reader, self.test_reader, self.valid_reader) if reader is not None]

    @property
    def checks_bytes(self) -> bool:
        """True if identical files on both sides are refused."""
        return self.split is None or self.split.check_bytes

    @property
    def group(self) -> str | None:
        """The column whose equal values stay on one side of the split; None if all samples are independent."""
        return self.split.group if self.split is not None else None

    # Methods of all loaders -----------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The splits of the config: the test split only if there is a reader for it."""
        return ("train", "valid", "test") if self.test_reader is not None else ("train", "valid")

    @property
    def number(self) -> int:
        """The number of samples to train and validate on; 0 before they are read."""
        return len(self._sides.train) + len(self._sides.valid) if self._sides is not None else 0

    @property
    def sides(self) -> Sides:
        """The samples to train and to validate on."""
        if self._sides is None:
            self._sides = self._read_sides()
        return self._sides

    def table(self, split: str) -> SampleTable:
        """Return the samples of `train`, `valid` or `test`, in order of id. Raises UserError for any other split."""
        if split == "test":
            return self._test
        if split not in ("train", "valid"):
            raise UserError(f"no split is called {split}; there are: train, valid, test")
        return self.sides.train if split == "train" else self.sides.valid

    def source(self, split: str, row: int) -> Source:
        """Return the file of a sample's picture, its box, and its place in the cache."""
        table = self.table(split)
        box = self.boxes.of(split, table, row) if self.boxes is not None else None
        return Source(table.path(row), box, self._place(split, row))

    def boxed(self, *tables: SampleTable) -> tuple[list[SampleTable], list[str]]:
        """Return the tables with the box of each picture, and lines about the boxes; unchanged if pictures stay whole."""
        return self.boxes.add(*tables) if self.boxes is not None else (list(tables), [])

    def fingerprint(self) -> dict[str, str]:
        """Return hashes, by config key, of all data of the training and validation samples, with boxes and labels."""
        sides = (self.sides.train, self.sides.valid)
        corrected = {} if self.corrections is None else {"data_loader.args.corrections": files.sha256(Path(self.corrections))}
        read = files.hash_lines(side.digest(but=[CROP]) for side in sides)
        boxes = self.boxes.fingerprint(sides) if self.boxes is not None else {}
        return {**corrected, "data_loader.args.reader": read, **boxes}

    def report(self) -> list[str]:
        """Return lines for the start of a run: numbers of samples and people, the split, and warnings."""
        train, valid = self.table("train"), self.table("valid")
        of, group = "", self.group
        if group and group in valid.names:
            of = f" of {len(set(train.strings(group))):,} and {len(set(valid.strings(group))):,} different {group}"
        held = self.split.in_words() if self.split is not None else splits.OWN_SIDE
        split = f"{held}, split {self.sides.split_hash[:8]}"
        return [f"{len(train):,} training and {len(valid):,} validation samples{of} ({split})", *self.sides.notes]

    def _read_sides(self) -> Sides:
        table, notes = self.read()
        notes += self.unaccounted(table)
        table, skipped = self._without_unreadable(table)
        table = self.label(table, str(self.data_dir), required=True)
        own = None
        if self.valid_reader is not None:
            own, further, left_out = self.own_side()
            notes, skipped = [*notes, *further], {**skipped, **left_out}
        if skipped:
            described = some([f"{name} {reason}" for name, reason in skipped.items()])
            notes.append(f"warning: {len(skipped)} images cannot be read and are left out ({described})")
        notes += repair_lines(table)
        train, valid, warnings, whole = self.divide(table, own)
        split_hash = splits.split_hash((train if whole is None else whole).ids(), valid.ids())
        (train, valid), cuts = self.boxed(train, valid)
        return Sides(train, valid, [*notes, *cuts, *warnings], skipped, split_hash)

    def _raw(self, reader: BaseReader) -> SampleTable:
        """Return the samples of a reader in order of id, as they are in the files."""
        return self.read_table(reader).sorted()

    def _corrected(self, table: SampleTable, other: BaseReader | None) -> tuple[SampleTable, list[str]]:
        """Return the table with the corrections, and a line on them. other: the reader of the other side, if it has one."""
        if self.corrections is None or not self.correctable(table):
            return table, []
        others = [self._raw(other)] if other is not None else []
        table, note = correct(table, Path(self.corrections), filter(self.correctable, others))
        return table, [note]

    @cached_property
    def _test(self) -> SampleTable:
        if self.test_reader is None:
            raise UserError("data_loader.args.test_reader: is not set, so there is no test split")
        table = self.label(self.read_table(self.test_reader).sorted(), str(self.data_dir), required=False)
        return self.boxed(table)[0][0]

    def _place(self, split: str, row: int) -> int | None:
        """Return the number of a sample's picture in the cache; None for a sample that is not cached."""
        if split not in LABELLED:
            return None  # without reading any other split
        own = len(self.sides.train)
        return own + row if split == "valid" else row if row < own else None

    def _without_unreadable(self, table: SampleTable) -> tuple[SampleTable, dict[str, str]]:
        if self.unreadable == "skip":
            failures = scan.unreadable(table, self.size)
            if len(failures) == len(table):
                scan.refuse_unreadable(failures, table)
            return table.drop(failures), failures
        missing = scan.missing_files(table)
        scan.refuse_unreadable(dict.fromkeys(missing, "is not there"), table)
        return table, {}

    def _same_bytes(
        self,
        table: SampleTable,
        groups: Sequence[Sequence[int]],
        train: np.ndarray,
        valid: np.ndarray,
        key: str = "split.check_bytes",
    ) -> list[str]:
        """Refuse identical files on both sides; return lines on their number, and on those of different labels or people.

        groups: rows of identical files.
        """
        duplicates.refuse_shared_bytes(table, groups, train, valid, key)
        columns: list[Any] = [name for name in (*self.spec.classes, self.group) if name in table.names]
        counted = f"{sum(map(len, groups)):,} files are copies of each other, in {len(groups):,} sets, each set on one side"
        contradictions = [line for name in columns for line in duplicates.contradiction_warnings(table, groups, name)]
        return [*([counted] if groups else []), *contradictions]

    def _leaks(self, train: SampleTable, valid: SampleTable) -> list[str]:
        """Refuse people and identical files on both sides; return warnings as `_same_bytes` does."""
        group = self.group
        if group is not None:
            of_side = [self._people(table, group) for table in (train, valid)]
            advice = "take these people out of one side"
            splits.refuse_shared_groups(of_side[0], of_side[1], f"values of {group}", advice)
        if not self.checks_bytes:
            return []
        both = duplicates.concatenated(train, valid, [*self.spec.classes, *([group] if group else [])])
        copies = duplicates.identical_files(both)
        return self._same_bytes(both, copies, np.arange(len(train)), np.arange(len(train), len(both)), self.own_side_key)

    def _people(self, table: SampleTable, group: str) -> list[str]:
        """Return the person of each sample. Raises UserError if the table does not have the column."""
        if group not in table.names:
            raise UserError(f"split: no column {group}{did_you_mean(group, table.names)}; there are: {', '.join(table.names)}")
        return table.strings(group)
