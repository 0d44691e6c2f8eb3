"""A run's data set as its loader reads it: class balance, similar pictures, augmented pictures. Importing this imports torch."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from base.base_data_loader import BaseDataLoader
from base.contracts import RunContext
from base.labels import reported
from base.table import SampleTable
from data_loader.batches.batches import Batches
from data_loader.batches.stream import BatchKey, Failure
from data_loader.pictures.decode import ImageError, read_image
from data_loader.prepare.section import ReadsImages, build_loader
from data_loader.samples import duplicates, splits
from data_loader.samples.samples import Samples
from inspection.cache import by_file
from inspection.jail import below
from utils import config
from utils.errors import UserError

CLOSE = 4  # of 64 bits in which two pictures' hashes may differ
BANDS = CLOSE + 1  # parts of a hash: two hashes that differ in at most CLOSE bits are equal in at least one of the parts
CROWD = 200  # largest number of rows with an equal part that are all compared; in a larger group only neighbours are compared
AT_ONCE = 512
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Data:
    """A loader, its samples and its batches. Hold the lock while you make batches."""

    loader: BaseDataLoader
    samples: Samples
    batches: Batches
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def group(self) -> str | None:
        """The column whose equal values stay on one side; None if all samples are independent."""
        return self.samples.group

    def table(self, split: str) -> SampleTable:
        """Return the samples of a split. Raises UserError if the data cannot be read."""
        with self.lock:
            return self.loader.table(split)


class Twins(NamedTuple):
    """Two samples (rows) that look alike. distance: bits in which their hashes differ. same: True if the files are identical."""

    a: int
    b: int
    distance: int
    same: bool


@by_file(entries=2)
def open_data(path: Path) -> Data:
    """Return the data of a run's config.json. Raises UserError, which lists all problems of the data."""
    raw = config.read(path)
    loader = build_loader(raw, RunContext(int(raw.values.get("seed", 0))))
    if not isinstance(loader, ReadsImages):
        raise UserError(f"{path}: data_loader.type: {type(loader).__name__} reads no image files")
    loader.table("train")
    return Data(loader, loader.samples, loader.batches)


def balance(data: Data) -> pd.DataFrame:
    """Return a table with the columns label, class, side, samples.

    The sides are train and valid; with k folds also `fold i`, the samples that fold i holds out.
    """
    sides = {"train": data.table("train"), "valid": data.table("valid")} | dict(_folds(data))
    spec, rows = data.samples.spec, []
    for label, names in spec.classes.items():
        for side, table in sides.items():
            if label not in table.names:
                continue
            values = reported(table.numbers(label).astype(np.int64), spec, label)
            counts = np.bincount(values[values >= 0], minlength=len(names)).tolist()
            unknown = int((values < 0).sum())
            rows += [(label, name, side, count) for name, count in zip(names, counts, strict=True)]
            rows += [(label, UNKNOWN, side, unknown)] if unknown else []
    return pd.DataFrame(rows, columns=["label", "class", "side", "samples"])


def _folds(data: Data) -> Iterator[tuple[str, SampleTable]]:
    split = data.samples.split
    if split is None or split.folds is None:
        return
    table = everything(data)
    copies = duplicates.identical_files(table) if split.check_bytes else []
    for fold in range(split.folds):
        _, held = splits.split_rows(table, split.model_copy(update={"fold": fold}), copies)
        yield f"fold {fold}", table.take(held)


def everything(data: Data) -> SampleTable:
    """Return the training and validation samples in order of id, with a column `side` (train or valid)."""
    import pyarrow as pa

    tables = {side: data.table(side) for side in ("train", "valid")}
    root = Path(os.path.commonpath([table.root for table in tables.values()]))  # a side of its own may be in another folder
    tables = {side: table.with_column("path", _paths_below(root, table)) for side, table in tables.items()}
    marked = [table.with_column("side", [side] * len(table)).columns for side, table in tables.items()]
    return SampleTable(root, pa.concat_tables(marked, promote_options="default")).sorted()


def _paths_below(root: Path, table: SampleTable) -> list[str]:
    return [os.path.relpath(os.path.join(table.root, path), root) for path in table.paths()]


def group_leaks(table: SampleTable, group: str | None) -> list[str]:
    """Return the values of the split's group column (for example people) that are on both sides, sorted."""
    if group is None or group not in table.names:
        return []
    sides = defaultdict(set)
    for value, side in zip(table.strings(group), table.strings("side"), strict=True):
        sides[value].add(side)
    return sorted(value for value, its_sides in sides.items() if len(its_sides) > 1 and value)


# Twins --------------------------------------------------------------------------------------------------------------


def look_at_files(table: SampleTable, progress: Callable[[float], object]) -> tuple[np.ndarray, dict[str, str]]:
    """Return the hashes of all pictures, (N,) uint64, 0 if a picture cannot be read, and by sample id the reason for that.

    progress: called with the finished share, in [0, 1].
    """
    hashes, unreadable = np.zeros(len(table), np.uint64), dict[str, str]()

    def look(row: int) -> int | str:
        try:
            return difference_hash(read_image(below(table.root, table.values("path", row)), (72, 64)))
        except (ImageError, UserError) as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(table), AT_ONCE):
            rows = range(start, min(start + AT_ONCE, len(table)))
            for row, seen in zip(rows, pool.map(look, rows), strict=True):
                if isinstance(seen, str):
                    unreadable[table.id(row)] = seen
                else:
                    hashes[row] = seen
            progress(rows.stop / len(table))
    return hashes, unreadable


def difference_hash(image: np.ndarray) -> int:
    """Return the difference hash of a picture, 64 bits (N. Krawetz, 2013, "Kind of Like That"). image: (H, W, 3) uint8 RGB.

    The picture is shrunk to 8 rows of 9 grey cells; a bit is 1 if a cell is brighter than its right neighbour.
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = (grey[:, :-1] > grey[:, 1:]).reshape(-1)
    return int(np.packbits(bits).view(">u8")[0])


def close_pairs(hashes: np.ndarray, limit: int = 2000) -> list[Twins]:
    """Return pairs of rows whose hashes differ in at most CLOSE bits, the most alike first, at most `limit` pairs.

    hashes: (N,) uint64; rows with hash 0 have no picture and are left out.
    """
    known = np.flatnonzero(hashes)
    parts = np.array_split(np.arange(64, dtype=np.uint64), BANDS)
    seen: dict[tuple[int, int], int] = {}
    for part in parts:
        mask = np.uint64(sum(1 << int(bit) for bit in part))
        groups: dict[int, list[int]] = defaultdict(list)
        for row, key in zip(known.tolist(), (hashes[known] & mask).tolist(), strict=True):
            groups[key].append(row)
        for group in groups.values():
            for a, b in combinations(group, 2) if len(group) <= CROWD else pairwise(group):
                seen.setdefault((a, b), (int(hashes[a]) ^ int(hashes[b])).bit_count())
    near = sorted((distance, pair) for pair, distance in seen.items() if distance <= CLOSE)
    return [Twins(*pair, distance, False) for distance, pair in near[:limit]]


def twins(table: SampleTable, hashes: np.ndarray) -> pd.DataFrame:
    """Return a table of pairs that look alike: columns a, b (rows), first, second (ids), bits, bytes (same or other), sides.

    Pairs on both sides of the split come first; within both groups identical files come first. hashes: (N,) uint64.
    """
    identical = [Twins(a, b, 0, True) for group in duplicates.identical_files(table) for a, b in combinations(group, 2)]
    known = {(pair.a, pair.b) for pair in identical}
    pairs = identical + [pair for pair in close_pairs(hashes) if (pair.a, pair.b) not in known]
    side, ids = table.strings("side"), table.ids()
    rows = [
        (a, b, ids[a], ids[b], bits, "same" if same else "other", " and ".join(dict.fromkeys([side[a], side[b]])))
        for a, b, bits, same in pairs
    ]
    frame = pd.DataFrame(rows, columns=["a", "b", "first", "second", "bits", "bytes", "sides"])
    key = frame["sides"].str.contains(" and ")
    return frame.assign(key=key).sort_values(["key"], ascending=False, kind="stable", ignore_index=True).drop(columns="key")


# Augmentation -------------------------------------------------------------------------------------------------------


def augmented(data: Data, row: int, epoch: int, number: int) -> list[np.ndarray]:
    """Return `number` augmented pictures of a sample as one epoch of training may draw them, (h, w, 3) uint8 RGB each.

    Raises ImageError if the picture cannot be read.
    """
    with data.lock:
        batch = data.batches.make(BatchKey("train", epoch, np.full(number, row), np.arange(number)))
    if isinstance(batch, Failure):
        raise ImageError(next(iter(batch.reasons.values())))
    return list(batch["image"].permute(0, 2, 3, 1).numpy())
