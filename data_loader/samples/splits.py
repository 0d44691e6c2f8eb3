"""Split of the samples for training and validation: by person and stratified, or by a column that names the side."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import numpy as np
import pyarrow.compute as pc
from pydantic import Field, model_validator

from base.contracts import DataSpec
from base.labels import reported
from base.table import SampleTable, some
from base.types import CountOrZero, Names, ProperShare
from utils import files
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings

OWN_SIDE = "a set of its own"  # in a report: the validation samples of `valid_reader`


class Split(Settings):
    """A hold-out part (`valid`), k folds with one held out (`folds`, `fold`), or the sides that a column names (`column`)."""

    group: str | None = Field(default=None, description="column that names the person; a person is on one side only")
    stratify: list[str] = Field(default=[], description="labels whose joint distribution both sides share")
    valid: ProperShare | Names | None = Field(
        default=None, description="share of the samples held out; with `column`, its texts for the samples to validate on"
    )
    column: str | None = Field(
        default=None, description="column that names the side of each sample, of which `train` and `valid` list the texts"
    )
    train: Names | None = Field(default=None, description="with `column`: its texts for the samples to train on")
    folds: Annotated[int, Field(ge=2)] | None = Field(default=None, description="number of folds")
    fold: CountOrZero = Field(default=0, description="the fold held out, counted from 0")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0, description="seed of the split alone, independent of the run's seed"
    )
    check_bytes: bool = Field(default=True, description="refuse identical files on both sides")

    @model_validator(mode="after")
    def _one_kind(self) -> Split:
        if self.column is not None:
            self._require_sides()
        elif self.train is not None or isinstance(self.valid, list):
            raise ValueError("lists of texts in train and valid only together with column")
        elif self.valid is not None and self.folds is not None:
            raise ValueError("either valid (a share) or folds (a number)")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"a fold from 0 to {self.folds - 1}; found {self.fold}")
        return self

    def _require_sides(self) -> None:
        if self.train is None or not isinstance(self.valid, list):
            raise ValueError('with column, lists of its texts: "train": ["…"], "valid": ["…"]')
        if self.folds is not None or self.stratify:
            raise ValueError("with column neither folds nor stratify, since the column alone divides the samples")
        if both := sorted(set(self.train) & set(self.valid)):
            raise ValueError(f"texts that are in one of train and valid; {both[0]} is in both")

    @property
    def way(self) -> str | None:
        """The key that divides the samples; None if the split divides nothing, and validation is a side of its own."""
        ways = {"column": self.column, "valid": self.valid, "folds": self.folds}
        return next((key for key, value in ways.items() if value is not None), None)

    @property
    def share(self) -> float:
        """The share of the samples held out, 0 if the split is of another kind."""
        return self.valid if isinstance(self.valid, float) else 0.0

    def in_words(self) -> str:
        """Return a description for a report."""
        words = {
            "column": f"sides by {self.column}",
            "folds": f"fold {self.fold} of {self.folds}",
            "valid": f"{self.share:.0%} held out",
        }
        return words[self.way] if self.way is not None else OWN_SIDE


def wanted_columns(split: Split | None) -> list[tuple[str, str]]:
    """Return (key below the loader's `args`, column) for every column that a split names."""
    if split is None:
        return []
    named = {"split.group": split.group, "split.column": split.column}
    stratify = [(f"split.stratify[{index}]", name) for index, name in enumerate(split.stratify)]
    return [*((key, name) for key, name in named.items() if name), *stratify]


def split_rows(table: SampleTable, split: Split, copies: Sequence[Sequence[int]] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows for training and for validation, (n,) int64 each, ascending; they do not depend on the order of samples.

    copies: rows with the same picture. If the split would part copies, in any fold, they and their people stay together, as long
    as enough others are left; a split that parts none is the same with and without `copies`.

    Raises UserError if a column is missing, if a sample has no person, if there are too few people, or if a person is on both
    sides that a column names.
    """
    for name in (*split.stratify, *filter(None, (split.group, split.column))):
        if name not in table.names:
            raise UserError(f"split: no column {name}{did_you_mean(name, table.names)}; there are: {', '.join(table.names)}")
    if split.column is not None:
        return _named_sides(table, split)
    people = _people(table, split)
    held_out, apart = _held_out(table, split, people, copies)
    if apart:
        joined = _joined(people, copies)
        if len(np.unique(joined)) >= max(split.folds or 2, 2):  # else the copies are refused by name
            held_out, _ = _held_out(table, split, joined, copies)
    everything = np.arange(len(table))
    return everything[~held_out], everything[held_out]


def _held_out(table: SampleTable, split: Split, people: np.ndarray, copies: Sequence[Sequence[int]]) -> tuple[np.ndarray, bool]:
    """Return a mask of the rows to validate on, (N,) bool, and whether the split parts copies, in any fold.

    people: (N,) int64, equal for rows that stay together. Raises UserError if there are too few people.
    """
    number = len(np.unique(people))
    parts = split.folds if split.folds is not None else min(_parts_for(split.share), number)
    if number < max(parts, 2):
        what = f"different values of {split.group}" if split.group else "samples"
        needs = f"{split.folds} folds need at least {split.folds}" if split.folds else "to hold some out needs at least 2"
        raise UserError(f"split: {needs} {what}; there are {number}")
    order = np.asarray(pc.sort_indices(table.columns["id"]))
    part_of = np.zeros(len(table), dtype=np.int64)
    part_of[order] = _parts(_joint(table, split.stratify, parts)[order], people[order], split, parts)
    apart = any(len(set(part_of[list(rows)].tolist())) > 1 for rows in copies)
    return part_of == (split.fold if split.folds is not None else 1), apart


def _joined(people: np.ndarray, copies: Sequence[Sequence[int]]) -> np.ndarray:
    """Return a number for each row, (N,) int64, equal for rows of one person and for all people whose pictures are copies."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = np.array([(people[rows[0]], people[row]) for rows in copies for row in rows[1:]], np.int64).reshape(-1, 2)
    number = int(people.max(initial=0)) + 1
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(number, number))
    joined: np.ndarray = connected_components(graph, directed=False)[1][people].astype(np.int64)
    return joined


def _named_sides(table: SampleTable, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose text in the split's column is in `train`, and the rows whose text is in `valid`."""
    texts = _sides_of(table, split)
    sides = []
    for key, wanted in (("train", split.train), ("valid", split.valid)):
        assert isinstance(wanted, list), "checked with the config"
        if unknown := sorted(set(wanted) - set(texts)):
            there = sorted(set(texts))
            near = did_you_mean(unknown[0], there)
            raise UserError(
                f"data_loader.args.split.{key}: no sample has {split.column} = {unknown[0]}{near}; there are: {some(there)}"
            )
        sides.append(np.flatnonzero(np.isin(texts, wanted)))
    if split.group is not None:
        of_side = [table.take(rows).strings(split.group) for rows in sides]
        refuse_shared_groups(of_side[0], of_side[1], f"values of {split.group}", f"name other texts of {split.column}")
    return sides[0], sides[1]


def _sides_of(table: SampleTable, split: Split) -> list[str]:
    """Return the text of every sample in the split's column, without spaces around it."""
    assert split.column is not None
    raw = f"raw:{split.column}"  # if the column became a label
    return [text.strip() for text in table.strings(raw if raw in table.names else split.column)]


def _people(table: SampleTable, split: Split) -> np.ndarray:
    """Return a number for each sample, (N,) int64, equal for samples that must stay together."""
    if split.group is None:
        return np.arange(len(table))
    names = table.strings(split.group)
    nameless = [table.id(row) for row, name in enumerate(names) if not name]
    if nameless:
        advice = "name or exclude them with corrections"
        raise UserError(f"split: {len(nameless)} samples have no {split.group} ({some(nameless)}); {advice}")
    return _codes(names)


def _parts(strata: np.ndarray, people: np.ndarray, split: Split, parts: int) -> np.ndarray:
    """Return the fold of each row, (N,) int64; for a share, 1 for rows held out: as many small folds as come nearest to it."""
    sides = _folds(strata, people, split.seed, parts)
    mask = np.zeros(len(strata), dtype=bool)
    if split.folds is not None:
        number = np.zeros(len(strata), np.int64)
        for fold, side in enumerate(sides):
            number[side] = fold
        return number
    wanted = split.share * len(mask)
    for side in sides[:-1]:
        if mask.any() and abs(mask.sum() + len(side) - wanted) >= abs(mask.sum() - wanted):
            break
        mask[side] = True
    return mask.astype(np.int64)


def _folds(strata: np.ndarray, people: np.ndarray, seed: int, parts: int) -> list[np.ndarray]:
    """Return the rows of each of `parts` folds."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # takes a second to import

    # If all samples show different people the general method has no advantage, and takes minutes for a million samples.
    alone = len(np.unique(people)) == len(people)
    folds = (StratifiedKFold if alone else StratifiedGroupKFold)(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `few_people_warnings` names the classes with fewer people than folds instead
        return [valid for _, valid in folds.split(strata, strata, people)]


def _parts_for(share: float) -> int:
    """Return a number of folds from which the share can be built: 0.1 is one of 10, 0.15 three of 20."""
    for parts in range(2, 21):
        if abs(round(share * parts) / parts - share) < 1e-9 and round(share * parts) > 0:
            return parts
    return max(20, round(1 / share))


def _codes(values: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]


def _joint(table: SampleTable, names: Sequence[str], parts: int) -> np.ndarray:
    """Return a number for each sample's combination of labels, (N,) int64.

    All combinations with fewer samples than folds get the same number.
    """
    joint = np.zeros(len(table), dtype=np.int64)
    for name in names:
        values = table.columns[name].to_numpy()
        codes = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)[1]
        joint = joint * (codes.max(initial=0) + 1) + codes
    codes, counts = np.unique(joint, return_inverse=True, return_counts=True)[1:]
    return np.where(counts[codes] < parts, -1, codes)


# Checks of a split ---------------------------------------------------------------------------------------------------


def split_hash(train: Iterable[str], valid: Iterable[str]) -> str:
    """Return the SHA-256 over ids and sides; equal for equal splits of any origin."""
    return files.hash_lines(sorted([f"train {name}" for name in train] + [f"valid {name}" for name in valid]))


def refuse_shared_groups(
    train: Sequence[str], valid: Sequence[str], noun: str, advice: str = "split by data_loader.args.split.group"
) -> None:
    """Raise UserError that names the people who are on both sides; a missing name is no person."""
    both = sorted((set(train) & set(valid)) - {""})
    if both:
        raise UserError(f"split: {len(both)} {noun} on both sides ({some(both)}); {advice}")


def remarks(table: SampleTable, split: Split, train: np.ndarray, valid: np.ndarray, spec: DataSpec) -> list[str]:
    """Return lines on samples of neither side, classes that one side lacks, and classes with few people.

    train, valid: rows, (n,) integers.
    """
    return [
        *_of_neither_side(table, split),
        *missing_class_warnings(table.take(train), table.take(valid), spec),
        *few_people_warnings(table, split, spec),
    ]


def _of_neither_side(table: SampleTable, split: Split) -> list[str]:
    if split.column is None or split.train is None or not isinstance(split.valid, list):
        return []
    others = [text for text in _sides_of(table, split) if text not in {*split.train, *split.valid}]
    named = some(sorted({text or "nothing" for text in others}))
    return [f"{len(others):,} samples are on neither side: their {split.column} is {named}"] if others else []


def missing_class_warnings(train: SampleTable, valid: SampleTable, spec: DataSpec) -> list[str]:
    """Return warnings for classes that one side lacks."""
    lines = []
    for (label, names, to_train), (_, _, to_validate) in zip(_reported(train, spec), _reported(valid, spec), strict=True):
        for side, values in (("training", to_train), ("validation", to_validate)):
            lacking = np.setdiff1d(np.arange(len(names)), values)
            if len(lacking):
                lines.append(f"warning: no {side} sample of {label} is {some(names[number] for number in lacking)}")
    return lines


def few_people_warnings(table: SampleTable, split: Split, spec: DataSpec) -> list[str]:
    """Return warnings for classes with fewer people than folds: some folds are validated without them."""
    if split.folds is None:
        return []
    people, lines = _people(table, split), []
    for label, names, values in _reported(table, spec):
        for number, name in enumerate(names):
            count = len(np.unique(people[values == number]))
            if 0 < count < split.folds:
                what = f"different values of {split.group}" if split.group else "samples"
                lines.append(f"warning: {label} is {name} for only {count} {what}; {split.folds} folds cannot all have one")
    return lines


def _reported(table: SampleTable, spec: DataSpec) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Yield label, names of its classes, and the class of every sample (-1 unknown), for the labels that the table has."""
    for label, names in spec.classes.items():
        if label in table.names:
            yield label, names, reported(table.numbers(label), spec, label)
