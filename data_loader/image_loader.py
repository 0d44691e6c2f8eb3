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

from base.base_data_loader import BaseDataLoader, BaseSampler, Folds
from base.base_reader import BaseReader
from base.contracts import Batch, DataSpec, RunContext, Target
from base.table import SampleTable, some
from data_loader.augment.transforms import BaseTransform, Pipeline
from data_loader.batches import samplers
from data_loader.batches.stream import CAN_FORK, BatchKey, BatchStream, Failure, PictureCache
from data_loader.crop.croppers import BaseCropper
from data_loader.crop.crops import COLUMN as CROP
from data_loader.crop.crops import Crops
from data_loader.crop.cutting import Cutting
from data_loader.pictures import scan
from data_loader.pictures.decode import Box, ImageError, Size, cut, decode_image, read_image, resize
from data_loader.samples import duplicates, splits
from data_loader.samples.corrections import correct
from data_loader.samples.splits import Split
from utils import distributed, files
from utils.errors import UserError
from utils.seed import derive

MEGABYTE = 2**20
LABELLED = ("train", "valid")  # the splits whose samples have targets; others have an error where they cannot be read


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
        *,
        split: Split | None,
        image_size: Size,
        batch_size: int,
        sampler: BaseSampler,
        unreadable: Literal["error", "skip"],
        num_workers: int,
        worker_timeout: float,
        cache_mb: int,
        train_transforms: list[BaseTransform] = [],  # noqa: B006 - never changed
        eval_transforms: list[BaseTransform] = [],  # noqa: B006
        test_reader: BaseReader | None = None,
        corrections: str | None = None,
        crops: Crops | None = None,
        croppers: list[BaseCropper] = [],  # noqa: B006
    ) -> None:
        self.context, self.data_dir, self.reader, self.split = context, Path(data_dir), reader, split
        self.image_size, self.batch_size, self.sampler = image_size, batch_size, sampler
        self.pipelines = {True: Pipeline(train_transforms), False: Pipeline(eval_transforms, "eval_transforms")}
        self.test_reader, self.corrections, self.unreadable = test_reader, corrections, unreadable
        self.num_workers, self.worker_timeout, self.cache_mb = num_workers, worker_timeout, cache_mb
        self.cutting = Cutting(crops, croppers, self.data_dir)

    # What subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """The table with label columns; where they are not required and not there, the table as it is."""

    def targets(self, table: SampleTable, rows: np.ndarray) -> Target:
        """The targets of some rows, every leaf with len(rows) as its first dimension; for the default `collate`."""
        return {}

    def read(self, path: Path, box: Box | None = None) -> np.ndarray:
        """The picture in a file as it is cached and transformed, (h, w, 3) uint8 of `image_size`. Raises ImageError.

        box: what it is cut to before.
        """
        return read_image(path, self.image_size, box)

    def sample(self, key: BatchKey, row: int, draw: int) -> Any:
        """One sample for `collate`: by default its transformed picture, (h, w, 3) uint8. Raises ImageError."""
        picture = self.decoded(key.split, row)
        return self.pipelines[True](picture, self.draw_seed(key, row, draw)) if key.augmented else self.evaluated(picture)

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """A batch of what `sample` gave, None where a picture could not be read. Test samples have no targets."""
        targets = {} if key.split not in LABELLED else self.targets(self.table(key.split), key.rows)
        return {"image": stack(samples, self.image_size), "target": targets, "index": torch.from_numpy(key.rows.astype(np.int64))}

    def object_counts(self, table: SampleTable) -> dict[str, list[int]]:
        """Label -> objects of each class in a table, for labels of which a sample may have several; none by default."""
        return {}

    def divide(self, table: SampleTable) -> tuple[SampleTable, SampleTable, list[str]]:
        """The samples to train and to validate on, and warnings about them. table: all that the reader found, labelled."""
        assert self.split is not None, "a loader without a split has a division of its own"
        train, valid = splits.split_rows(table, self.split)
        notes = self._same_bytes(table, train, valid) if self.split.check_bytes else []
        spec = self.declared_spec()
        notes += splits.coverage(table, valid, train, spec) + splits.few_people(table, self.split, spec)
        return table.take(train), table.take(valid), notes

    @property
    def splits(self) -> tuple[str, ...]:
        """The test split is there if a reader for it is."""
        return ("train", "valid", "test") if self.test_reader is not None else ("train", "valid")

    @classmethod
    def folds(cls, args: Any) -> Folds | None:
        """Those of `split`."""
        split: Split | None = args.split
        return Folds(split.folds, split.fold, "split.fold") if split is not None and split.folds is not None else None

    @property
    def group(self) -> str | None:
        """Of the split: what is on one side only."""
        return self.split.group if self.split is not None else None

    # Samples ------------------------------------------------------------------------------------------------------

    def table(self, split: str) -> SampleTable:
        """The samples of `train`, `valid` or `test`, in order of id."""
        if split == "test":
            return self._test
        if split not in ("train", "valid"):
            raise UserError(f"no split is called {split}; there are: train, valid, test")
        table: SampleTable = getattr(self._sides, split)
        return table

    def read_table(self, reader: BaseReader) -> SampleTable:
        """What a reader finds in the data folder."""
        return reader.read(self.data_dir)

    def samples(self) -> tuple[SampleTable, list[str]]:
        """All samples to train and validate on, in order of id, as they are read and corrected; and what was corrected."""
        table = self.read_table(self.reader).sorted()
        if self.corrections is None:
            return table, []
        table, note = correct(table, Path(self.corrections))
        return table, [note]

    @cached_property
    def _sides(self) -> Sides:
        table, notes = self.samples()
        table, skipped = self._without_unreadable(table)
        if skipped:
            described = some([f"{name} {reason}" for name, reason in skipped.items()])
            notes.append(f"warning: {len(skipped)} images cannot be read and are left out ({described})")
        table = self.label(table, str(self.data_dir), required=True)
        train, valid, warnings = self.divide(table)
        (train, valid), cuts = self.cutting.boxed(train, valid)
        return Sides(train, valid, [*notes, *cuts, *warnings], skipped)

    @cached_property
    def _test(self) -> SampleTable:
        if self.test_reader is None:
            raise UserError("data_loader.args.test_reader: is not set, so there is no test split")
        table = self.label(self.read_table(self.test_reader).sorted(), str(self.data_dir), required=False)
        return self.cutting.boxed(table)[0][0]

    def all_tables(self) -> list[SampleTable]:
        """What each reader finds, before anything is corrected, cut, labelled or split."""
        return [self.read_table(reader) for reader in (self.reader, self.test_reader) if reader is not None]

    def box(self, split: str, row: int) -> Box | None:
        """What a sample's picture is cut to; None where it stays whole."""
        return self.cutting.box(split, self.table(split), row)

    def fingerprint(self) -> dict[str, str]:
        """Of labels and all else that is read of training and validation samples, and of the boxes that they are cut to."""
        sides = (self._sides.train, self._sides.valid)
        corrected = {} if self.corrections is None else {"data_loader.args.corrections": files.sha256(Path(self.corrections))}
        read = files.hash_lines(side.digest(but=[CROP]) for side in sides)
        return {**corrected, "data_loader.args.reader": read, **self.cutting.fingerprint(lambda: sides)}

    def _without_unreadable(self, table: SampleTable) -> tuple[SampleTable, dict[str, str]]:
        if self.unreadable == "skip":
            failures = scan.unreadable(table, self.image_size)
            if len(failures) == len(table):
                scan.refuse_unreadable(failures, table)
            return table.drop(failures), failures
        missing = scan.missing_files(table)
        scan.refuse_unreadable(dict.fromkeys(missing, "is not there"), table)
        return table, {}

    def _same_bytes(self, table: SampleTable, train: np.ndarray, valid: np.ndarray) -> list[str]:
        """Refuse identical files on both sides; warnings for identical files under different labels or people."""
        groups = duplicates.identical_files(table)
        duplicates.refuse_shared_bytes(table, groups, train, valid)
        columns = [name for name in (*self.declared_spec().classes, self.group) if name in table.names]
        return [line for name in columns for line in duplicates.contradiction(table, groups, name)]

    @abstractmethod
    def declared_spec(self) -> DataSpec:
        """The spec as the config declares it, without counts."""

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 over the sample ids and sides."""
        return splits.split_hash(self._sides.train.ids(), self._sides.valid.ids())

    # Batches ------------------------------------------------------------------------------------------------------

    def order(self, epoch: int) -> list[np.ndarray]:
        """The rows of every global training batch of an epoch."""
        batches = self.sampler.batches(self._sides.train, self.batch_size, self.context.seed, epoch)
        if min(map(len, batches)) < distributed.world_size():
            raise UserError(
                f"data_loader.args.batch_size: a batch of {min(map(len, batches))} samples cannot be shared by "
                f"{distributed.world_size()} processes; make it larger"
            )
        return batches

    def train(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """This process's share of each global batch from `start_batch` on."""
        rank, processes = distributed.rank(), distributed.world_size()
        batches = self.order(epoch)
        draws = np.split(samplers.repeats(np.concatenate(batches)), np.cumsum([len(rows) for rows in batches])[:-1])
        shares = [[np.array_split(values, processes)[rank] for values in both] for both in zip(batches, draws, strict=True)]
        keys = [BatchKey("train", epoch, rows, before, number) for number, (rows, before) in enumerate(shares)]
        yield from self._batches(keys[start_batch:])

    def evaluation(self, split: str) -> Iterator[tuple[int, Batch]]:
        """Numbered whole batches, of training samples too without augmentation; this process's are every n-th."""
        order = self.evaluation_order(split)
        numbers = range(distributed.rank(), len(order), distributed.world_size())
        keys = [BatchKey(split, None, order[number], np.zeros_like(order[number]), number) for number in numbers]
        yield from zip(numbers, self._batches(keys), strict=True)

    def _batches(self, keys: list[BatchKey]) -> Iterator[Batch]:
        """The keys' batches. Their table is read by now, so that workers which are forked here share it."""
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
        samples: list[Any] = []
        errors: dict[int, str] = {}
        for row, draw in zip(key.rows.tolist(), key.draws.tolist(), strict=True):
            try:
                samples.append(self.sample(key, row, draw))
            except ImageError as error:
                samples.append(None)
                errors[row if error.row is None else error.row] = str(error)
        if errors and key.split in LABELLED:
            return Failure(key.split, errors)
        batch = self.collate(key, samples)
        if key.split not in LABELLED:
            batch["error"] = [errors.get(row, "") for row in key.rows.tolist()]
        return batch

    def draw_seed(self, key: BatchKey, row: int, draw: int) -> int:
        """Of a training sample's augmentation: a function of (seed, epoch, sample id), and of how often the epoch showed it."""
        assert key.epoch is not None, "evaluation draws nothing"
        return derive(self.context.seed, "augment", key.epoch, self.table(key.split).id(row), draw)

    def evaluated(self, picture: np.ndarray) -> np.ndarray:
        """The picture as evaluation transforms it."""
        return self.pipelines[False](picture, 0)

    def decoded(self, split: str, row: int) -> np.ndarray:
        """A sample's picture as `read` gives it, from the cache if there is one for this split. Raises ImageError."""
        path, box, cache = self.table(split).path(row), self.box(split, row), self._cache
        try:
            place = self._place(split, row)
            return self.read(path, box) if cache is None or place is None else cache.get(place, lambda: self.read(path, box))
        except ImageError as error:
            error.row = row  # which need not be that of the sample that is being made
            raise

    def _place(self, split: str, row: int) -> int | None:
        """Of a sample's picture in the cache; None for what the cache does not hold."""
        if split not in LABELLED:
            return None  # nor is any other split read for its sake
        own = len(self._sides.train)
        return own + row if split == "valid" else row if row < own else None

    @cached_property
    def _cache(self) -> PictureCache | None:
        """For all training and validation samples if they fit, otherwise none."""
        number = len(self._sides.train) + len(self._sides.valid) if "_sides" in self.__dict__ else 0
        fits = 0 < number * int(np.prod(self.image_size)) * 3 <= self.cache_mb * MEGABYTE
        shared = CAN_FORK or self.num_workers == 0
        return PictureCache(number, self.image_size) if fits and shared else None

    def _explain(self, failure: Failure) -> None:
        """Something could not be read: look at everything, so that all of it is named at once."""
        tables = self.table("train"), self.table("valid")
        failures = {self.table(failure.split).id(row): reason for row, reason in failure.reasons.items()}
        for table in tables:
            failures |= scan.unreadable(table, self.image_size)
        scan.refuse_unreadable(failures, *tables)

    # One picture --------------------------------------------------------------------------------------------------

    def decode(self, content: bytes) -> np.ndarray:
        """The picture at the loader's own size, (h, w, 3) uint8 RGB, or whole where it is to be cut. Raises ImageError."""
        return decode_image(content, self.image_size if self.cutting.crops is None else None)

    def preprocess(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """(H, W, 3) uint8 RGB -> (3, h, w) uint8, as every picture of an evaluation is treated, and the affine of the resizing.

        Crops of `eval_transforms` are not in the affine: where predictions have coordinates, a subclass has its own `preprocess`.
        """
        (x1, y1, x2, y2), _ = self.cutting.found(image)
        picture = self.evaluated(resize(cut(image, (x1, y1, x2, y2)), self.image_size))
        h, w = self.image_size
        affine = torch.tensor([[(x2 - x1) / w, 0.0, float(x1)], [0.0, (y2 - y1) / h, float(y1)]])
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), affine

    def preprocessing(self) -> dict[str, Any]:
        """What is cut out, the resizing, the order of the colours, and the transforms of evaluation."""
        return {
            **self.cutting.described(),
            "resize": list(self.image_size),
            "interpolation": "by areas (OpenCV's INTER_AREA) to under two thirds of the size, else bilinear (INTER_LINEAR)",
            "colours": "RGB",
            "pixels": "uint8, (B, 3, H, W)",
            "transforms": self.pipelines[False].as_json(),
        }

    def picture(self, split: str, row: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB, as evaluation sees the sample."""
        return self.evaluated(self.read(self.table(split).path(row), self.box(split, row)))

    @cached_property
    def evaluated_size(self) -> Size:
        """Height and width of the pictures that evaluation makes."""
        height, width, _ = self.evaluated(np.zeros((*self.image_size, 3), np.uint8)).shape
        return height, width

    # For the record -----------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """Numbers of samples and people, the split, and warnings."""
        train, valid = self.table("train"), self.table("valid")
        of, group = "", self.group
        if group and group in valid.names:
            of = f" of {len(set(train.strings(group))):,} and {len(set(valid.strings(group))):,} different {group}"
        held = self.split.in_words() if self.split is not None else "a set of its own"
        line = f"{len(train):,} training and {len(valid):,} validation samples{of} ({held}, split {self.split_hash[:8]})"
        return [line, *self._sides.notes]

    def source(self) -> dict[str, Any]:
        """Pipelines with all their arguments, and what was left out."""
        return {
            "train_transforms": self.pipelines[True].as_json(),
            "eval_transforms": self.pipelines[False].as_json(),
            "skipped": self._sides.skipped,
            **self.fingerprint(),
        }


def require_one_size(pictures: list[np.ndarray]) -> tuple[int, ...] | None:
    """The shape that all have, None where there is none of them. Raises UserError where they differ."""
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        found = some([f"{height} x {width}" for height, width, _ in sorted(shapes)])
        raise UserError(f"data_loader: the transforms give pictures of different sizes ({found}); end with a crop or resize")
    return shapes.pop() if shapes else None


def stack(pictures: list[np.ndarray | None], size: Size) -> Tensor:
    """(B, 3, h, w) uint8 in channels-last memory; None is a black picture, whose row carries an error."""
    shape = require_one_size([picture for picture in pictures if picture is not None]) or (*size, 3)
    stacked = np.zeros((len(pictures), *shape), np.uint8)
    for position, picture in enumerate(pictures):
        if picture is not None:
            stacked[position] = picture
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)
