"""From files to batches, for training, validation and test."""

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
    """The order of an epoch: a function of (seed, epoch) and the labels, so that any batch of it can be found again."""

    @abstractmethod
    def batches(self, table: SampleTable, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """The rows of every global batch of an epoch, equally many batches in every epoch."""


class OrderSampler(BaseSampler):
    """A sampler that is an order of rows, cut into batches."""

    @abstractmethod
    def order(self, table: SampleTable, seed: int, epoch: int) -> np.ndarray:
        """Rows of the table in the order of the epoch, (N,) int64, equally many in every epoch; repeats are allowed."""

    def batches(self, table: SampleTable, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """The rows of every global batch of an epoch.

        The order is cut into the fewest batches of at most `batch_size`, whose sizes differ by at most one: no sample
        is dropped, and there is no short last batch for batch-norm to stumble over.
        """
        order = self.order(table, seed, epoch)
        return np.array_split(order, max(1, -(-len(order) // batch_size)))


class Folds(NamedTuple):
    """How a config divides its samples into folds."""

    number: int
    fold: int  # the one held out, from 0
    key: str  # that says so, below the loader's `args`


class BaseDataLoader(Checked, ABC):
    """Everything between the files and the batches.

    The data are read at the first use of a split, not by the constructor.
    """

    valid_targets: ClassVar[bool] = True  # whether validation samples have what the loss compares with
    data_dir: Path
    pictures: BasePictures  # the preprocessing of validation, test.py and the app
    splits: tuple[str, ...] = ("train", "valid")  # the splits that the config has
    group: str | None = None  # the column whose equal values mark samples that depend on each other; None if none do

    @classmethod
    def declared(cls, args: Any) -> DataSpec:
        """Return what the config alone says of the data: classes, without counts. Reads no file."""
        return DataSpec()

    @classmethod
    def folds(cls, args: Any) -> Folds | None:
        """Return the folds of these arguments, None if they name no number of folds. Reads no file."""
        return None

    @classmethod
    def shares(cls, args: Any) -> str | None:
        """Return the key below `args` that makes samples count in part, None if each counts whole. Reads no file."""
        return None

    # Samples ------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> DataSpec:
        """What model, loss and metrics must know of the data. Reads the training samples."""

    @property
    @abstractmethod
    def split_hash(self) -> str:
        """SHA-256 over the sample ids and the side of the split each is on."""

    @abstractmethod
    def table(self, split: str) -> SampleTable:
        """Return the samples of `train`, `valid` or `test`, in order of id. Raises UserError for any other split."""

    def labelled(self, split: str) -> bool:
        """Return whether the samples of a split have what metrics compare with."""
        return split != "test"

    def fingerprint(self) -> dict[str, str]:
        """Return SHA-256 hashes, by config key, of all that files say of the samples: a run continues with the same only."""
        return {}

    @abstractmethod
    def picture(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture in the pixels of predictions, (h, w, 3) uint8 RGB: as evaluation sees it, or the original."""

    # Batches ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of every global training batch of an epoch: a function of (seed, epoch)."""

    @abstractmethod
    def train(self, epoch: int, start_batch: int = 0) -> Iterable[Batch]:
        """Return this process's share of each global batch of the epoch, from `start_batch` on."""

    @abstractmethod
    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the rows of every batch of a split, each sample once, the same for any number of processes.

        In order of id, unless a loader puts samples together that share a shape: predictions are sorted afterwards.
        """

    @abstractmethod
    def evaluation(self, split: str) -> Iterable[tuple[int, Batch]]:
        """Return the numbered whole batches of `evaluation_order`, not augmented; of several processes each gets every n-th."""

    def close(self) -> None:
        """Stop worker processes, if there are any. Later batches start them again."""

    # For the record -----------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """Return lines for the start of a run: numbers of samples, what was skipped, what is missing."""
        return []

    def source(self) -> dict[str, Any]:
        """Return plain values saved with the run: pipelines, files skipped."""
        return {}


SAMPLERS: Registry[BaseSampler] = Registry("sampler", BaseSampler)
LOADERS: Registry[BaseDataLoader] = Registry("data_loader", BaseDataLoader)
