"""The batches of a loader: their order, their contents, and the worker processes that make them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from base.base_data_loader import BaseSampler
from base.contracts import Batch, RunContext, Target
from base.table import some
from base.types import Count
from data_loader.batches import samplers
from data_loader.batches.samplers import ShuffleSampler
from data_loader.batches.stream import CAN_FORK, BatchKey, BatchStream, Failure
from data_loader.pictures import scan
from data_loader.pictures.decode import ImageError, Size
from data_loader.pictures.pictures import Pictures
from data_loader.samples.samples import LABELLED, Samples
from utils import distributed
from utils.errors import UserError
from utils.seed import derive
from utils.validate import Settings

TOLD = 10  # largest number of cut-off files that are named


class BatchSettings(Settings):
    """Config of the batches of every loader."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    batch_size: Count = Field(description="images per step, over all processes")
    sampler: BaseSampler = Field(default=ShuffleSampler(), description="choice and order of the samples in an epoch")
    num_workers: Annotated[int, Field(ge=0, le=256)] = Field(
        default=2, description="processes that make batches, 0 for none beside the trainer itself"
    )
    worker_timeout: Annotated[float, Field(gt=0, le=86400)] = Field(
        default=45.0, description="seconds without a batch after which a worker counts as lost"
    )


class Batches:
    """Any batch of any epoch, augmented by (seed, epoch, sample id); by default the target is empty."""

    def __init__(self, context: RunContext, settings: BatchSettings, samples: Samples, pictures: Pictures) -> None:
        self.seed, self.pin_memory, self.samples, self.pictures = context.seed, context.pin_memory, samples, pictures
        self.batch_size, self.sampler = settings.batch_size, settings.sampler
        self.num_workers, self.worker_timeout = settings.num_workers, settings.worker_timeout
        self._stream: BatchStream | None = None
        self._told: set[str] = set()

    # Methods for subclasses -----------------------------------------------------------------------------------------

    def targets(self, split: str, rows: np.ndarray) -> Target:
        """Return the targets of some rows, for the default `collate`; the first dimension of every leaf is len(rows)."""
        return {}

    def sample(self, key: BatchKey, row: int, draw: int) -> Any:
        """Return one sample for `collate`: by default its transformed picture, (h, w, 3) uint8. Raises ImageError."""
        picture = self.decoded(key.split, row)
        if key.augmented:
            return self.pictures.training(picture, self.draw_seed(key, row, draw))
        return self.pictures.evaluated(picture)

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """Return a batch of the results of `sample`, None for an unreadable picture. Test samples have no targets."""
        targets = {} if key.split not in LABELLED else self.targets(key.split, key.rows)
        index = torch.from_numpy(key.rows.astype(np.int64))
        return {"image": stack(samples, self.pictures.size), "target": targets, "index": index}

    # Order --------------------------------------------------------------------------------------------------------

    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of every global training batch of an epoch. Raises UserError for batches too small to share."""
        batches = self.sampler.batches(self.samples.sides.train, self.batch_size, self.seed, epoch)
        if min(map(len, batches)) < distributed.world_size():
            raise UserError(
                f"data_loader.args.batch_size: a batch of {min(map(len, batches))} samples cannot be shared by "
                f"{distributed.world_size()} processes; make it larger"
            )
        return batches

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the rows of every batch of a split, each sample once, the same for any number of processes."""
        return self.cut(np.arange(len(self.samples.table(split))))

    def cut(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return rows in their order, in batches for evaluation."""
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    # Making -------------------------------------------------------------------------------------------------------

    def train(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Yield this process's share of each global batch of an epoch, from `start_batch` on."""
        rank, processes = distributed.rank(), distributed.world_size()
        batches = self.order(epoch)
        draws = np.split(samplers.repeats(np.concatenate(batches)), np.cumsum([len(rows) for rows in batches])[:-1])
        shares = [[np.array_split(values, processes)[rank] for values in both] for both in zip(batches, draws, strict=True)]
        keys = [BatchKey("train", epoch, rows, before, number) for number, (rows, before) in enumerate(shares)]
        yield from self._made(keys[start_batch:])

    def evaluation(self, split: str) -> Iterator[tuple[int, Batch]]:
        """Yield numbered whole batches, of training samples too without augmentation; this process's are every n-th."""
        order = self.evaluation_order(split)
        numbers = range(distributed.rank(), len(order), distributed.world_size())
        keys = [BatchKey(split, None, order[number], np.zeros_like(order[number]), number) for number in numbers]
        yield from zip(numbers, self._made(keys), strict=True)

    def example(self, split: str, rows: np.ndarray) -> Batch:
        """Return one batch of some rows, made in this process; training samples as the first epoch augments them.

        Raises UserError that names all unreadable pictures, if one of the rows cannot be read.
        """
        batch = self.make(BatchKey(split, 0 if split == "train" else None, rows, samplers.repeats(rows)))
        if isinstance(batch, Failure):
            self._explain(batch)
            raise AssertionError("the pictures of a failure are refused")
        return batch

    def make(self, key: BatchKey) -> Batch | Failure:
        """Return one batch, in any process; a Failure if a sample with a target cannot be read."""
        samples: list[Any] = []
        errors: dict[int, str] = {}
        for row, draw in zip(key.rows.tolist(), key.draws.tolist(), strict=True):
            try:
                samples.append(self.sample(key, row, draw))
            except ImageError as error:
                samples.append(None)
                errors[row if error.row is None else error.row] = str(error)
        cut_off, self.pictures.cut_off = self.pictures.cut_off, []
        if errors and key.split in LABELLED:
            return Failure(key.split, errors)
        batch = self.collate(key, samples)
        if cut_off:
            batch["cut_off"] = cut_off
        if key.split not in LABELLED:
            batch["error"] = [errors.get(row, "") for row in key.rows.tolist()]
        return batch

    def decoded(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture before any transform, from the cache if it is there. Raises ImageError."""
        source = self.samples.source(split, row)
        if not self.pictures.reserved:
            self._reserve()
        try:
            return self.pictures.decoded(source)
        except ImageError as error:
            error.row = row  # the row of the unreadable picture, which may be a partner of the sample
            raise

    def draw_seed(self, key: BatchKey, row: int, draw: int) -> int:
        """Return the seed of a training sample's augmentation: a function of (seed, epoch, sample id, draw).

        draw: how often the epoch has shown the sample before.
        """
        assert key.epoch is not None, "evaluation draws nothing"
        return derive(self.seed, "augment", key.epoch, self.samples.table(key.split).id(row), draw)

    def close(self) -> None:
        """Stop the workers; the next batch starts new ones."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _made(self, keys: list[BatchKey]) -> Iterator[Batch]:
        """Yield the batches of the keys. Their table has been read before, so that forked workers share it."""
        if self._stream is None:
            self._reserve()  # before workers are forked, so that they share the memory
            self._stream = BatchStream(self.make, self.num_workers, self.worker_timeout, self.pin_memory)
        for batch in self._stream.iterate(keys):
            if isinstance(batch, Failure):
                self._explain(batch)
            self._tell(batch.pop("cut_off", []))
            yield batch

    def _tell(self, cut_off: list[str]) -> None:
        """Name the first files that were decoded as far as they go, each once."""
        for path in cut_off:
            if path not in self._told and len(self._told) < TOLD:
                last = "; further ones are not named" if len(self._told) == TOLD - 1 else ""
                print(f"warning: {path}: is cut off, and decoded as far as it goes{last}", file=sys.stderr)
                self._told.add(path)

    def _reserve(self) -> None:
        """Allocate memory for the pictures of all training and validation samples, if every process can share it."""
        self.pictures.reserve(self.samples.number if CAN_FORK or self.num_workers == 0 else 0)

    def _explain(self, failure: Failure) -> None:
        """Decode every picture, so that one error names all unreadable pictures."""
        tables = self.samples.table("train"), self.samples.table("valid")
        failures = {self.samples.table(failure.split).id(row): reason for row, reason in failure.reasons.items()}
        for table in tables:
            failures |= scan.unreadable(table, self.pictures.size)
        scan.refuse_unreadable(failures, *tables)


def black(number: int, size: Size, target: Target) -> Batch:
    """Return a batch of `number` black pictures of one size (height, width), with a target."""
    image = torch.zeros(number, 3, *size, dtype=torch.uint8)
    return {"image": image, "target": target, "index": torch.arange(number)}


def require_one_size(pictures: list[np.ndarray]) -> tuple[int, ...] | None:
    """Return the shape that all pictures have, None if there is no picture. Raises UserError if shapes differ."""
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        found = some([f"{height} x {width}" for height, width, _ in sorted(shapes)])
        raise UserError(f"data_loader: the transforms give pictures of different sizes ({found}); end with a crop or resize")
    return shapes.pop() if shapes else None


def stack(pictures: list[np.ndarray | None], size: Size) -> Tensor:
    """Return (B, 3, h, w) uint8 in channels-last memory. None becomes a black picture; its row carries an error."""
    shape = require_one_size([picture for picture in pictures if picture is not None]) or (*size, 3)
    stacked = np.zeros((len(pictures), *shape), np.uint8)
    for position, picture in enumerate(pictures):
        if picture is not None:
            stacked[position] = picture
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)
