"""From files to batches, for training, validation and test; the preprocessing of all that use the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel
from torch import Tensor

from base.contracts import Batch, DataSpec
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabels
from base.registry import Checked, Registry
from base.table import SampleTable
from utils.errors import UserError


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
    batch_size: int
    data_dir: Path

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
        """The samples of `train`, `valid` or `test`, in order of id. Raises UserError for a split that is not configured."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that this config has."""
        return ("train", "valid")

    def labelled(self, split: str) -> bool:
        """Whether the samples of a split have what metrics compare with."""
        return split != "test"

    @property
    def group(self) -> str | None:
        """The column whose equal values say which samples are not independent of each other; None where all are."""
        return None

    @abstractmethod
    def order(self, epoch: int) -> list[np.ndarray]:
        """The rows of every global training batch of an epoch: a function of (seed, epoch)."""

    @abstractmethod
    def train(self, epoch: int, start_batch: int = 0) -> Iterable[Batch]:
        """This process's share of each global batch of the epoch, from `start_batch` on."""

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """The rows of every batch of a split, each sample once, the same for any number of processes.

        In order of id, unless a loader puts samples together that share a shape: predictions are sorted afterwards.
        """
        rows = np.arange(len(self.table(split)))
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    @abstractmethod
    def evaluation(self, split: str) -> Iterable[tuple[int, Batch]]:
        """The numbered whole batches of `evaluation_order`, without augmentation; of several processes each gets every n-th."""

    @abstractmethod
    def decode(self, content: bytes) -> np.ndarray:
        """The picture in a file's bytes, as the loader reads its own files: (H, W, 3) uint8 RGB, for `preprocess`.

        Raises ValueError with the reason where there is none.
        """

    @abstractmethod
    def preprocess(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """A picture (H, W, 3) uint8 RGB of any size, as the model takes it.

        Returns it as (3, h, w) uint8, and the affine (2, 3) float32 from its pixels to those of `image`.
        """

    def preprocessing(self) -> dict[str, Any]:
        """What `preprocess` does, in plain values: for a program that has to do the same. Touches no file."""
        return {}

    @abstractmethod
    def picture(self, split: str, row: int) -> np.ndarray:
        """A sample's picture in the pixels of predictions, (h, w, 3) uint8 RGB: as evaluation sees it, or the original."""

    def fingerprint(self) -> dict[str, str]:
        """By config key, SHA-256 of what a file adds to the pictures that a run sees: it goes on with the same only."""
        return {}

    def close(self) -> None:
        """Stop worker processes, if there are any."""

    @classmethod
    def declared(cls, args: BaseModel) -> DataSpec:
        """What the config alone says of the data: classes, without counts. Touches no file."""
        return DataSpec()

    @classmethod
    def folds(cls, args: BaseModel) -> Folds | None:
        """The folds of these arguments; None where they name no number of folds. Touches no file."""
        return None

    @classmethod
    def shares(cls, args: BaseModel) -> str | None:
        """Return the key below `args` that makes samples count in part; None if each counts whole. Touches no file."""
        return None

    # Samples without labels --------------------------------------------------------------------------------------

    @property
    def pools(self) -> tuple[str, ...]:
        """The splits of samples without labels for which `pseudo_labels` can be made; none by default."""
        return ()

    def pseudo_labels(self, split: str, predictions: Predictions) -> PseudoLabels:
        """What predictions of a pool propose as labels. Nothing for samples that would bring validation into training."""
        raise UserError(f"data_loader.type: {type(self).__name__} makes no pseudo-labels")

    def adopt(self, split: str, labels: PseudoLabels, weight: float) -> None:
        """From the next epoch on, train on samples of a pool too, with these labels, instead of all that was adopted before.

        They are rows of `table("train")` behind the others. `order` has as many batches as before, and `spec` the same counts.
        weight: of one of them in the loss, in 0..1.
        """
        raise UserError(f"data_loader.type: {type(self).__name__} makes no pseudo-labels")

    # For the record ----------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """Lines for the start of a run: numbers of samples, what was skipped, what is missing."""
        return []

    def source(self) -> dict[str, Any]:
        """Plain values saved with the run: pipelines, files skipped."""
        return {}


SAMPLERS: Registry[BaseSampler] = Registry("sampler", BaseSampler)
LOADERS: Registry[BaseDataLoader] = Registry("data_loader", BaseDataLoader)
