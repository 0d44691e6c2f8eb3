"""Base class of the loaders of image files: samples, pictures and batches, each defined by the task's subclass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from base.base_data_loader import BaseDataLoader, Folds
from base.contracts import Batch
from base.table import SampleTable
from data_loader.batches.batches import Batches, BatchSettings
from data_loader.pictures.pictures import Pictures, PictureSettings
from data_loader.samples.samples import Samples, SampleSettings, no_test_set
from data_loader.samples.splits import Split


class ImageLoaderSettings(BatchSettings, PictureSettings, SampleSettings):
    """The arguments of every loader of image files."""


class ImageLoader(BaseDataLoader):
    """Make batches of image files: decode once, augment by (seed, epoch, sample id), return uint8."""

    pictures: Pictures

    def __init__(self, settings: ImageLoaderSettings, samples: Samples, pictures: Pictures, batches: Batches) -> None:
        self.settings, self.samples, self.pictures, self.batches = settings, samples, pictures, batches
        self.data_dir, self.splits, self.group = samples.data_dir, samples.names, samples.group

    @classmethod
    def folds(cls, args: Any) -> Folds | None:
        """Return the folds of `split`."""
        split: Split | None = args.split
        return Folds(split.folds, split.fold, "split.fold") if split is not None and split.folds is not None else None

    @classmethod
    def own_side(cls, args: Any) -> str | None:
        """Return the key that names validation samples of their own."""
        if args.valid_reader is not None:
            return "valid_reader"
        return "split.column" if args.split is not None and args.split.column is not None else None

    @classmethod
    def absent(cls, args: Any) -> str | None:
        """Return a line if the data folder is there, and what `test_reader` names in it is not."""
        part, data_dir = getattr(args, "test_reader", None), Path(args.data_dir)
        place = part.build().absent(data_dir) if part is not None and data_dir.is_dir() else None
        return no_test_set(f"{place} is not there") if place is not None else None

    @property
    def split_hash(self) -> str:
        """SHA-256 over the sample ids and sides."""
        return self.samples.sides.split_hash

    def table(self, split: str) -> SampleTable:
        """Return the samples of `train`, `valid` or `test`, in order of id. Raises UserError for any other split."""
        return self.samples.table(split)

    def labelled(self, split: str) -> bool:
        """Return whether the samples of a split have the truth that metrics need."""
        return self.samples.labelled(split)

    def fingerprint(self) -> dict[str, str]:
        """Return hashes, by config key, of all data of the training and validation samples, with labels and boxes."""
        return self.samples.fingerprint()

    def picture(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture after the transforms of evaluation, (h, w, 3) uint8 RGB."""
        path, box, _ = self.samples.source(split, row)
        return self.pictures.evaluated(self.pictures.read(path, box))

    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of every global training batch of an epoch."""
        return self.batches.order(epoch)

    def train(self, epoch: int, start_batch: int = 0) -> Iterable[Batch]:
        """Return this process's share of each global batch of an epoch, from `start_batch` on."""
        return self.batches.train(epoch, start_batch)

    def example(self, split: str, rows: np.ndarray) -> Batch:
        """Return one batch of some rows, made in this process."""
        return self.batches.example(split, rows)

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the rows of every batch of a split."""
        return self.batches.evaluation_order(split)

    def evaluation(self, split: str) -> Iterable[tuple[int, Batch]]:
        """Return the numbered whole batches of a split; with n processes each process gets every n-th batch."""
        return self.batches.evaluation(split)

    def close(self) -> None:
        """Stop the workers; the next batch starts new ones."""
        self.batches.close()

    def report(self) -> list[str]:
        """Return numbers of samples and people, the split, and warnings."""
        return self.samples.report()

    def source(self) -> dict[str, Any]:
        """Return the pipelines with all their arguments, the skipped samples, and the hashes of the data."""
        return {**self.pictures.as_json(), "skipped": self.samples.sides.skipped, **self.fingerprint()}
