"""Who is trained on and who is validated on: by person, stratified, and never both."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from base.table import SampleTable, some
from utils import files
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings


class Split(Settings):
    """A hold-out part (`valid`) or k folds of which one is held out (`folds`, `fold`)."""

    group: str | None = Field(default=None, description="column that names the person; a person is on one side only")
    stratify: list[str] = Field(default=[], description="labels whose joint distribution both sides share")
    valid: Annotated[float, Field(gt=0, lt=1)] | None = Field(default=None, description="share of the samples held out")
    folds: Annotated[int, Field(ge=2)] | None = Field(default=None, description="number of folds")
    fold: Annotated[int, Field(ge=0)] = Field(default=0, description="the fold held out, counted from 0")
    seed: int = Field(default=0, description="of the split alone, so that runs with other seeds share it")
    check_bytes: bool = Field(default=True, description="refuse identical files on both sides")

    @model_validator(mode="after")
    def _one_kind(self) -> Split:
        if (self.valid is None) == (self.folds is None):
            raise ValueError("either valid (a share) or folds (a number)")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"a fold from 0 to {self.folds - 1}; found {self.fold}")
        return self


def split_rows(table: SampleTable, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation, each in ascending order.

    Raises UserError where a column is missing, or where there are too few people for the folds.
    """
    for name in (*split.stratify, *([split.group] if split.group else [])):
        if name not in table.names:
            raise UserError(f"split: no column {name}{did_you_mean(name, table.names)}; there are: {', '.join(table.names)}")
    groups = _codes(table.strings(split.group)) if split.group else np.arange(len(table))
    strata = _joint(table, split.stratify)
    parts = split.folds if split.folds is not None else _parts_for(split.valid or 0.0)
    people = len(np.unique(groups))
    if people < parts and split.folds is not None:
        what = f"different values of {split.group}" if split.group else "samples"
        raise UserError(f"split: {parts} folds need at least {parts} {what}; there are {people}")
    held_out = _hold_out(strata, groups, split, min(parts, people))
    everything = np.arange(len(table))
    return everything[~held_out], everything[held_out]


def _hold_out(strata: np.ndarray, groups: np.ndarray, split: Split, parts: int) -> np.ndarray:
    """Mask of the rows held out: one fold, or as many small folds as come nearest to the share."""
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    if parts < 2:
        raise UserError("split: there is only one person; nothing can be held out")
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=split.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # strata with fewer people than folds are named by `coverage` instead
        try:
            sides = [valid for _, valid in folds.split(strata, strata, groups)]
        except ValueError as error:
            raise UserError(f"split: {parts} folds cannot be filled ({error}); fewer folds, or fewer labels in stratify") from None
    mask = np.zeros(len(strata), dtype=bool)
    if split.folds is not None:
        mask[sides[split.fold]] = True
        return mask
    for side in sides:
        if mask.any() and abs(mask.sum() + len(side) - split.valid * len(mask)) >= abs(mask.sum() - split.valid * len(mask)):  # type: ignore[operator]
            break
        mask[side] = True
    return mask


def _parts_for(share: float) -> int:
    """Folds small enough to build the share from: 0.1 is one of 10, 0.15 three of 20."""
    for parts in range(2, 21):
        if abs(round(share * parts) / parts - share) < 1e-9 and round(share * parts) > 0:
            return parts
    return max(20, round(1 / share))


def _codes(values: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]


def _joint(table: SampleTable, names: Sequence[str]) -> np.ndarray:
    """One number per sample for the combination of its labels; combinations of under 2 samples are joined into one."""
    joint = np.zeros(len(table), dtype=np.int64)
    for name in names:
        values = table.columns[name].to_numpy()
        codes = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)[1]
        joint = joint * (codes.max(initial=0) + 1) + codes
    codes, counts = np.unique(joint, return_inverse=True, return_counts=True)[1:]
    return np.where(counts[codes] < 2, -1, codes)


# What must hold -----------------------------------------------------------------------------------------------------


def split_hash(train: Iterable[str], valid: Iterable[str]) -> str:
    """SHA-256 over ids and sides; equal for equal splits, whatever made them."""
    return files.hash_lines(sorted([f"train {name}" for name in train] + [f"valid {name}" for name in valid]))


def refuse_shared_groups(train: Sequence[str], valid: Sequence[str], noun: str) -> None:
    """Raise UserError naming the people who are on both sides."""
    both = sorted(set(train) & set(valid))
    if both:
        raise UserError(f"split: {len(both)} {noun} on both sides ({some(both)}); split by data_loader.args.split.group")


def refuse_shared_bytes(table: SampleTable, train: np.ndarray, valid: np.ndarray) -> None:
    """Raise UserError naming files with the same bytes on both sides. Only files of equal size are read."""
    pairs = identical_files(table, train, valid)
    if pairs:
        named = some([f"{a} = {b}" for a, b in pairs])
        raise UserError(
            f"split: {len(pairs)} files of the validation side are also on the training side ({named}); exclude one of each with "
            "data_loader.args.corrections, or allow it with data_loader.args.split.check_bytes=false"
        )


def identical_files(table: SampleTable, train: np.ndarray, valid: np.ndarray) -> list[tuple[str, str]]:
    """(training id, validation id) of files with identical bytes."""
    sizes: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((train, valid)):
        for row in rows:
            sizes[file_size(table.path(int(row)))][side].append(int(row))
    pairs = []
    for size, (train_rows, valid_rows) in sizes.items():
        if size <= 0 or not train_rows or not valid_rows:
            continue
        digests = {_digest(table.path(row)): row for row in reversed(train_rows)}
        pairs += [(table.id(digests[d]), table.id(row)) for row in valid_rows if (d := _digest(table.path(row))) in digests]
    return sorted(pairs)


def coverage(table: SampleTable, valid: np.ndarray, train: np.ndarray, classes: dict[str, list[str]], merged: dict[str, list[int]]) -> list[str]:
    """Warnings for classes that one side of the split lacks."""
    lines = []
    for label, names in classes.items():
        if label not in table.names:
            continue
        for side, rows in (("training", train), ("validation", valid)):
            values = table.numbers(label)[rows]
            values = np.asarray([*merged[label], -1])[values] if label in merged else values
            counts = Counter(values.tolist())
            lacking = [name for number, name in enumerate(names) if not counts[number]]
            if lacking:
                lines.append(f"warning: no {side} sample of {label} is {some(lacking)}")
    return lines


def file_size(path: Path) -> int:
    """Bytes of a file, -1 where it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
