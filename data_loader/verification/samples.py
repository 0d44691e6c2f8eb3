"""Pictures of people for verification: identities to train on, and pairs to validate and test on."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from base.base_reader import BaseReader
from base.contracts import DataSpec
from base.table import SampleTable, some
from base.verification.pairs import IDENTITY, PAIRS, add_pairs, pairs_of
from data_loader.crop.crops import Crops
from data_loader.pictures import scan
from data_loader.pictures.decode import Size
from data_loader.samples.samples import AnnotationSettings, Division, Samples
from data_loader.samples.splits import Split
from data_loader.verification.drawn_pairs import make_pairs
from utils.config import did_you_mean
from utils.errors import UserError


class IdentitySettings(AnnotationSettings):
    """Config of people, and of the pairs to validate on."""

    identity: str = Field(description="column that names the person")
    valid_reader: BaseReader | None = Field(
        default=None,
        description="reader of the validation pictures: a list of pairs, or images of further people, from which pairs are made",
    )
    split: Split | None = Field(
        default=None, description="instead of `valid_reader`, the share, fold or part of the people held out for validation"
    )
    valid_pairs: Annotated[int, Field(ge=2)] = Field(
        default=4000, description="largest number of pairs to make if validation has no list of pairs"
    )
    check_bytes: bool = Field(
        default=True,
        description="refuse files that are both in training and in validation; with `split`, its own setting counts",
    )


class IdentitySamples(Samples):
    """Pictures of people to train on, and the pictures of pairs, each once in its table."""

    own_side_key = "check_bytes"

    def __init__(self, settings: IdentitySettings, size: Size, crops: Crops | None) -> None:
        super().__init__(settings, size, DataSpec(), crops)  # the people are only known from the files
        self.identity, self.valid_pairs = settings.identity, settings.valid_pairs
        self.check_bytes, self.test_reader, self.corrections = settings.check_bytes, settings.test_reader, settings.corrections
        if settings.split is not None:
            self.split = settings.split.model_copy(update={"group": self.identity})

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table; check that every sample has an identity if `required`, else that the pictures of pairs exist.

        Raises UserError for samples without an identity, and for missing files.
        """
        if not required:
            _require_files(table)
            return self._numbered(table)
        if self.identity not in table.names:
            near = did_you_mean(self.identity, table.names)
            raise UserError(f"{source}: no column {self.identity}{near}; there are: {', '.join(table.names)}")
        nameless = [name for name, who in zip(table.ids(), table.strings(self.identity), strict=True) if not who]
        if nameless:
            raise UserError(f"{source}: {some(nameless)} have no {self.identity}; every training image needs one")
        return table

    def labelled(self, split: str) -> bool:
        """Return whether the truth of the pairs is known; the test split may have it too."""
        return pairs_of(self.table(split)).known if split == "test" else super().labelled(split)

    def own_side(self) -> tuple[SampleTable, list[str], dict[str, str]]:
        """Return the samples of `valid_reader`, which may lack people if they have pairs. Raises UserError for missing files."""
        valid, notes = self.read_valid()
        _require_files(valid)
        return valid, notes, {}

    def correctable(self, table: SampleTable) -> bool:
        """Return whether a table has no pairs, which corrections would break."""
        return PAIRS not in table.related

    def divide(self, table: SampleTable, own: SampleTable | None = None) -> Division:
        """Return the people to train on, and the pictures to validate on with their pairs.

        Raises UserError if the pairs to validate on have no labels.
        """
        # Number all people before a split, so that the people of several folds have different numbers.
        train, valid, notes, _ = super().divide(self._numbered(table) if own is None else table, own)
        if PAIRS not in valid.related:
            people = self._numbered(valid).numbers(IDENTITY)
            valid = add_pairs(valid, make_pairs(people, self.valid_pairs, self.split.seed if self.split is not None else 0))
        if not pairs_of(valid).known:
            raise UserError("data_loader.args.valid_reader: its pairs have no labels, without which nothing can be validated")
        notes = [*notes, *_odd_pairs(valid)]
        return Division(self._numbered(train), valid if own is None else self._numbered(valid), notes)

    @property
    def group(self) -> str | None:
        """The identity."""
        return self.identity

    @property
    def checks_bytes(self) -> bool:
        """True if identical files on both sides are refused: by the split's own setting if there is a split."""
        return self.check_bytes if self.valid_reader is not None else super().checks_bytes

    def people(self) -> list[str]:
        """Return the names of the people to train on, in the order of their numbers."""
        return sorted(set(self.table("train").strings(self.identity)))

    def report(self) -> list[str]:
        """Return numbers of samples, people and pairs, and warnings."""
        line, *notes = super().report()
        counts = np.bincount(self.table("train").numbers(IDENTITY))
        people = f"{len(counts):,} people to train on, {int((counts == 1).sum()):,} of them with one image"
        return [line, f"{people}; {_counted(self.table('valid'))} to validate on", *notes]

    def _people(self, table: SampleTable, group: str) -> list[str]:
        """Return the person of each sample, nobody for a list of pairs that does not name people."""
        return table.strings(group) if group in table.names else []

    def _numbered(self, table: SampleTable) -> SampleTable:
        """Return the table with a number for each identity, in order of name, if the identities are known."""
        if self.identity not in table.names:
            return table
        numbers = np.unique(np.array(table.strings(self.identity), object).astype(str), return_inverse=True)[1]
        return table.with_column(IDENTITY, numbers.astype(np.int64))


def _counted(table: SampleTable) -> str:
    same = pairs_of(table).same
    kinds = f"{int((same == 1).sum()):,} of one person, {int((same == 0).sum()):,} of different people"
    return f"{len(same):,} pairs ({kinds}) over {len(table):,} images"


def _odd_pairs(table: SampleTable) -> list[str]:
    """Return a warning for pairs of a picture with itself, and for pairs that are listed twice in any order."""
    pairs, ids = pairs_of(table), table.ids()
    ends = np.sort(np.stack([pairs.first, pairs.second], axis=1), axis=1)
    alone = np.flatnonzero(ends[:, 0] == ends[:, 1])
    _, places, counts = np.unique(ends, axis=0, return_index=True, return_counts=True)
    lines = []
    for rows, number, what in (
        (alone, len(alone), "pairs of a picture with itself"),
        (places[counts > 1], int((counts - 1).sum()), "pairs listed more than once"),
    ):
        if number:
            named = some([f"{ids[ends[row, 0]]} and {ids[ends[row, 1]]}" for row in rows.tolist()], 3)
            lines.append(f"warning: {number:,} {what} to validate on ({named})")
    return lines


def _require_files(table: SampleTable) -> None:
    """Raise UserError that names the missing pictures of pairs."""
    missing = scan.missing_files(table)
    if missing:
        raise UserError(f"{table.root}: {some(missing)} of the pairs to compare {'is' if len(missing) == 1 else 'are'} not there")
