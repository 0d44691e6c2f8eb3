"""What every loader of image files does: read, split, decode, transform, batch. The labels are the subclass's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from base.base_data_loader import BaseDataLoader, BaseSampler
from base.base_reader import BaseReader
from base.contracts import Batch, RunContext, Target
from base.table import SampleTable, some
from data_loader import scan, splits
from data_loader.decode import ImageError, Size, read_image, resize
from data_loader.labels import correct
from data_loader.splits import Split
from data_loader.stream import BatchKey, BatchStream, Failure, PictureCache
from data_loader.transforms import BaseTransform, Pipeline
from utils import distributed
from utils.errors import UserError
from utils.seed import derive

MEGABYTE = 2**20


@dataclass(frozen=True)
class Sides:
    """The samples that a run trains on and validates on."""

    train: SampleTable
    valid: SampleTable
    notes: list[str]
    skipped: dict[str, str]


class ImageLoader(BaseDataLoader):
    """Files to batches: decode once, augment by (seed, epoch, sample id), hand over uint8."""

    def __init__(
        self,
        context: RunContext,
        data_dir: str,
        reader: BaseReader,
        split: Split,
        image_size: Size,
        batch_size: int,
        train_transforms: list[BaseTransform],
        eval_transforms: list[BaseTransform],
        sampler: BaseSampler,
        test_reader: BaseReader | None,
        corrections: str | None,
        unreadable: Literal["error", "skip"],
        num_workers: int,
        worker_timeout: float,
        cache_mb: int,
    ) -> None:
        self.context, self.data_dir, self.reader, self.split = context, Path(data_dir), reader, split
        self.image_size, self.batch_size, self.sampler = image_size, batch_size, sampler
        self.pipelines = {True: Pipeline(train_transforms), False: Pipeline(eval_transforms)}  # type: ignore[arg-type]
        self.test_reader, self.corrections, self.unreadable = test_reader, corrections, unreadable
        self.num_workers, self.worker_timeout, self.cache_mb = num_workers, worker_timeout, cache_mb

    # What subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """The table with label columns; where they are not required and not there, the table as it is."""

    @abstractmethod
    def targets(self, table: SampleTable, rows: np.ndarray) -> Target:
        """The targets of some rows, every leaf with len(rows) as its first dimension."""

    # Samples ------------------------------------------------------------------------------------------------------

    def table(self, split: str) -> SampleTable:
        """The samples of `train`, `valid` or `test`, in order of id."""
        if split == "test":
            return self._test
        if split not in ("train", "valid"):
            raise UserError(f"no split is called {split}; there are: train, valid, test")
        table: SampleTable = getattr(self._sides, split)
        return table

    @cached_property
    def _sides(self) -> Sides:
        table = self._read(self.reader, self.data_dir)
        notes, skipped = [], {}
        if self.corrections:
            table, note = correct(table, Path(self.corrections))
            notes.append(note)
        table, skipped = self._without_unreadable(table)
        notes += [f"warning: {len(skipped)} images cannot be read and are left out ({some(skipped)})"] if skipped else []
        table = self.label(table, str(self.data_dir), required=True)
        train, valid = splits.split_rows(table, self.split)
        if self.split.check_bytes:
            splits.refuse_shared_bytes(table, train, valid)
        return Sides(table.take(train), table.take(valid), [*notes, *self._coverage(table, train, valid)], skipped)

    @cached_property
    def _test(self) -> SampleTable:
        if self.test_reader is None:
            raise UserError("data_loader.args.test_reader: is not set, so there is no test split")
        return self.label(self._read(self.test_reader, self.data_dir), str(self.data_dir), required=False)

    def _read(self, reader: BaseReader, data_dir: Path) -> SampleTable:
        return reader.read(data_dir).sorted()

    def _without_unreadable(self, table: SampleTable) -> tuple[SampleTable, dict[str, str]]:
        if self.unreadable == "skip":
            failures = scan.unreadable(table)
            if len(failures) == len(table):
                scan.refuse_unreadable(failures, table)
            return table.drop(failures), failures
        missing = scan.missing_files(table)
        scan.refuse_unreadable(dict.fromkeys(missing, "is not there"), table)
        return table, {}

    def _coverage(self, table: SampleTable, train: np.ndarray, valid: np.ndarray) -> list[str]:
        declared = self.declared_spec()
        return splits.coverage(table, valid, train, declared.classes, declared.merged)

    @abstractmethod
    def declared_spec(self) -> Any:
        """The spec as the config declares it, without counts."""

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 over the sample ids and sides."""
        return splits.split_hash(self.table("train").ids(), self.table("valid").ids())

    # Batches ------------------------------------------------------------------------------------------------------

    def order(self, epoch: int) -> list[np.ndarray]:
        """The rows of every global training batch of an epoch."""
        batches = self.sampler.batches(self.table("train"), self.batch_size, self.context.seed, epoch)
        if min(map(len, batches)) < distributed.world_size():
            raise UserError(
                f"data_loader.args.batch_size: a batch of {min(map(len, batches))} samples cannot be shared by "
                f"{distributed.world_size()} processes; make it larger"
            )
        return batches

    def train(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """This process's share of each global batch from `start_batch` on."""
        rank, processes = distributed.rank(), distributed.world_size()
        shares = [np.array_split(rows, processes)[rank] for rows in self.order(epoch)[start_batch:]]
        yield from self._batches([BatchKey("train", epoch, rows) for rows in shares])

    def evaluation(self, split: str) -> Iterator[tuple[int, Batch]]:
        """Numbered whole batches; this process's are every n-th."""
        numbers = range(distributed.rank(), len(order := self.evaluation_order(split)), distributed.world_size())
        yield from zip(numbers, self._batches([BatchKey(split, 0, order[number]) for number in numbers]), strict=True)

    def _batches(self, keys: list[BatchKey]) -> Iterator[Batch]:
        self.table(keys[0].split) if keys else None  # read in the main process, before workers are forked
        for batch in self._stream.iterate(keys):
            if isinstance(batch, Failure):
                self._explain(batch)
            yield batch

    @cached_property
    def _stream(self) -> BatchStream:
        self._cache  # noqa: B018 - allocated before workers are forked, so that they share it
        return BatchStream(self.make, self.num_workers, self.worker_timeout, self.context.pin_memory)

    def close(self) -> None:
        """Stop the workers."""
        if "_stream" in self.__dict__:
            self._stream.close()
            del self.__dict__["_stream"]

    def make(self, key: BatchKey) -> Batch | Failure:
        """One batch, in whatever process this is."""
        table = self.table(key.split)
        pictures, errors = [], {}
        for position, row in enumerate(key.rows):
            try:
                pictures.append(self._picture(key, int(row)))
            except ImageError as error:
                errors[int(row)] = str(error)
                pictures.append(None)
        if errors and key.split != "test":
            return Failure(key.split, errors)
        batch: Batch = {
            "image": _stack(pictures, self.image_size),
            "target": self.targets(table, key.rows) if key.split != "test" else {},
            "index": torch.from_numpy(np.ascontiguousarray(key.rows, dtype=np.int64)),
        }
        if key.split == "test":
            batch["error"] = [errors.get(int(row), "") for row in key.rows]
        return batch

    def _picture(self, key: BatchKey, row: int) -> np.ndarray:
        table, training = self.table(key.split), key.split == "train"
        place = self._cached_at(key.split, row)
        if place is None or self._cache is None:
            picture = read_image(table.path(row), self.image_size)
        else:
            picture = self._cache.get(place, lambda: read_image(table.path(row), self.image_size))
        seed = derive(self.context.seed, "augment", key.epoch, table.id(row)) if training else 0
        return self.pipelines[training](picture, seed)

    @cached_property
    def _cache(self) -> PictureCache | None:
        """For all training and validation samples if they fit, otherwise none."""
        number = len(self.table("train")) + len(self.table("valid")) if "_sides" in self.__dict__ else 0
        height, width = self.image_size
        fits = 0 < number * height * width * 3 <= self.cache_mb * MEGABYTE
        return PictureCache(number, self.image_size, shared=self.num_workers > 0) if fits else None

    def _cached_at(self, split: str, row: int) -> int | None:
        return {"train": row, "valid": len(self._sides.train) + row}[split] if split != "test" else None

    def _explain(self, failure: Failure) -> None:
        """Something could not be read: look at everything, so that all of it is named at once."""
        table = self.table(failure.split)
        found = {name: text for split in ("train", "valid") for name, text in scan.unreadable(self.table(split)).items()}
        scan.refuse_unreadable(found or {table.id(row): text for row, text in failure.reasons.items()}, table)

    # One picture --------------------------------------------------------------------------------------------------

    def preprocess(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 RGB -> (3, h, w) uint8, as every picture of an evaluation is treated."""
        picture = self.pipelines[False](resize(image, self.image_size), 0)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))

    def picture(self, split: str, row: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB, as evaluation sees the sample."""
        return self.pipelines[False](read_image(self.table(split).path(row), self.image_size), 0)

    # For the record -----------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """Numbers of samples and people, the split, and warnings."""
        train, valid, group = self.table("train"), self.table("valid"), self.split.group
        of = ""
        if group:
            of = f" of {len(set(train.strings(group))):,} and {len(set(valid.strings(group))):,} different {group}"
        held = f"fold {self.split.fold} of {self.split.folds}" if self.split.folds else f"{self.split.valid:.0%} held out"
        line = f"{len(train):,} training and {len(valid):,} validation samples{of} ({held}, split {self.split_hash[:8]})"
        return [line, *self._sides.notes]

    def source(self) -> dict[str, Any]:
        """Pipelines with all their arguments, and what was left out."""
        return {
            "train_transforms": self.pipelines[True].as_json(),
            "eval_transforms": self.pipelines[False].as_json(),
            "skipped": self._sides.skipped,
        }


def _stack(pictures: list[np.ndarray | None], size: Size) -> Tensor:
    """(B, 3, h, w) uint8 in channels-last memory; None is a black picture, whose row carries an error."""
    shapes = {picture.shape for picture in pictures if picture is not None} or {(*size, 3)}
    if len(shapes) > 1:
        raise UserError(f"data_loader: the transforms give pictures of different sizes ({some(map(str, sorted(shapes)))}); end with a crop or resize")
    stacked = np.zeros((len(pictures), *shapes.pop()), np.uint8)
    for position, picture in enumerate(pictures):
        if picture is not None:
            stacked[position] = picture
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)
