"""The base classes of data loaders (from files to batches for training, validation and test) and of samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from base.base_pictures import BasePictures
from base.contracts import Batch, DataSpec
from base.registry import Checked, Registry
from base.table import SampleTable


class BaseSampler(ABC):
    """The order of an epoch: a function of (seed, epoch) and the labels, so that every batch can be made again."""

    @abstractmethod
    def batches(self, table: SampleTable, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the rows (n,) int64 of every global batch of an epoch; every epoch has the same number of batches."""


class OrderSampler(BaseSampler):
    """A sampler that defines an order of rows, which is cut into batches."""

    @abstractmethod
    def order(self, table: SampleTable, seed: int, epoch: int) -> np.ndarray:
        """Return rows of the table in the order of the epoch, (N,) int64; N is the same in every epoch, repeats are allowed."""

    def batches(self, table: SampleTable, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the rows (n,) int64 of every global batch of an epoch.

        The order is cut into the fewest batches of at most `batch_size` rows, whose sizes differ by at most one: no sample is
        dropped, and no last batch is too short for batch-norm.
        """
        order = self.order(table, seed, epoch)
        return np.array_split(order, max(1, -(-len(order) // batch_size)))


class Folds(NamedTuple):
    """The division of a config's samples into folds."""

    number: int
    fold: int  # the fold that is held out, from 0
    key: str  # the key of the held-out fold, below the loader's `args`


class BaseDataLoader(Checked, ABC):
    """The loader of a data set: reads samples and makes batches.

    The data are read at the first use of a split, not by the constructor.
    """

    valid_targets: ClassVar[bool] = True  # whether validation samples have targets for the loss
    data_dir: Path
    pictures: BasePictures  # the preprocessing of validation, test.py and the app
    splits: tuple[str, ...] = ("train", "valid")  # the splits that the config has
    group: str | None = None  # the column whose equal values mark samples that depend on each other; None if none do

    @classmethod
    def declared(cls, args: Any) -> DataSpec:
        """Return the facts about the data that the config contains: classes, without counts. Reads no file."""
        return DataSpec()

    @classmethod
    def folds(cls, args: Any) -> Folds | None:
        """Return the folds of the arguments, None if the arguments name no number of folds. Reads no file."""
        return None

    @classmethod
    def own_side(cls, args: Any) -> str | None:
        """Return the key below `args` by which validation is a side of its own; None if a split divides. Reads no file."""
        return None

    @classmethod
    def absent(cls, args: Any) -> str | None:
        """Return a line on data that only predicting needs and that are not there; None if nothing is missing. Reads no file."""
        return None

    @classmethod
    def shares(cls, args: Any) -> str | None:
        """Return the key below `args` that gives samples a weight below 1; None if every weight is 1. Reads no file."""
        return None

    # Samples ------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> DataSpec:
        """The facts about the data for model, loss and metrics. Reads the training samples."""

    @property
    @abstractmethod
    def split_hash(self) -> str:
        """The SHA-256 over the sample ids and the part of the split (train or valid) of each."""

    @abstractmethod
    def table(self, split: str) -> SampleTable:
        """Return the samples of `train`, `valid` or `test`, in order of id. Raises UserError for any other split."""

    def labelled(self, split: str) -> bool:
        """Return whether the samples of a split have the labels that metrics need."""
        return split != "test"

    def fingerprint(self) -> dict[str, str]:
        """Return config key -> SHA-256 of the files with facts about the samples. A run continues only if they are the same."""
        return {}

    @abstractmethod
    def picture(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture in the pixels of predictions, (h, w, 3) uint8 RGB: that of evaluation, or the original."""

    # Batches ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the rows (n,) int64 of every global training batch of an epoch: a function of (seed, epoch)."""

    @abstractmethod
    def train(self, epoch: int, start_batch: int = 0) -> Iterable[Batch]:
        """Return this process's share of each global batch of the epoch, from `start_batch` on."""

    @abstractmethod
    def example(self, split: str, rows: np.ndarray) -> Batch:
        """Return one batch, made in this process: training samples as the first epoch augments them, others not augmented.

        rows: (B,) int64 of the split's table.
        """

    def sketch(self, number: int) -> tuple[DataSpec, Batch] | None:
        """Return a description of the data and a training batch of `number` black pictures, by the config alone.

        Labels and their counts are made up. None if the config does not say enough. Reads no file.
        """
        return None

    @abstractmethod
    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the rows (n,) int64 of every batch of a split, each sample once, the same for any number of processes.

        The rows are in order of id, unless a loader puts samples of equal shape together: predictions are sorted afterwards.
        """

    @abstractmethod
    def evaluation(self, split: str) -> Iterable[tuple[int, Batch]]:
        """Return the numbered whole batches of `evaluation_order`, not augmented; of n processes each gets every n-th batch."""

    def close(self) -> None:
        """Stop worker processes, if there are any. Later batches start them again."""

    # For the record -----------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """Return lines for the start of a run: numbers of samples, skipped files, missing labels."""
        return []

    def source(self) -> dict[str, Any]:
        """Return plain values to save with the run: pipelines, skipped files."""
        return {}


SAMPLERS: Registry[BaseSampler] = Registry("sampler", BaseSampler)
LOADERS: Registry[BaseDataLoader] = Registry("data_loader", BaseDataLoader)
