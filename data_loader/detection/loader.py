"""Images with objects in boxes, in their own proportions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from base.base_data_loader import LOADERS, BaseSampler
from base.base_reader import BaseReader
from base.contracts import Batch, DataSpec, RunContext
from base.detection.objects import OBJECT, Objects, class_counts, has_objects, objects_of, require_sizes
from base.table import SampleTable, some
from data_loader.augment.transforms import BaseTransform, steps_that_lose_boxes
from data_loader.batches.samplers import ShuffleSampler
from data_loader.batches.stream import BatchKey
from data_loader.detection import subset
from data_loader.detection.formats.found import repairs
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.detection.mosaic import Mosaic, visible
from data_loader.detection.subset import Rule
from data_loader.image_loader import ImageLoader
from data_loader.pictures.decode import Box, Size, decode_image, read_image
from data_loader.pictures.image_header import header_size, header_sizes
from data_loader.pictures.letterbox import Placement, blank, centred, common_frame, fitted, paste, rounded_up
from data_loader.samples import splits
from data_loader.samples.near_duplicates import COLUMN, Sources
from data_loader.samples.splits import Split
from utils.config import did_you_mean
from utils.errors import UserError
from utils.seed import generator
from utils.validate import Settings

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=16, le=4096)]
Factor = Annotated[float, Field(ge=0.25, le=4)]
NUMBERS, CONTENTS = "classes", "contents"  # columns: list<int16>, the class of each box; text


class Boxes(Settings):
    """Which boxes stay where augmentation has cut them off, or has covered them, which leaves them as large as they were.

    A picture without any stays, as one without objects.
    """

    min_area: Annotated[float, Field(ge=0)] = Field(default=4.0, description="square pixels of the model's input")
    min_visibility: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="share of its area before a step that must still be seen"
    )


class Drawn(NamedTuple):
    """One sample of a batch."""

    picture: np.ndarray  # (h, w, 3) uint8
    boxes: np.ndarray  # (n, 4), xyxy in absolute pixels of it
    labels: np.ndarray  # (n,) int64
    placement: Placement  # of the original in it; means nothing once it is augmented


@LOADERS.register("detection")
class DetectionLoader(ImageLoader):
    """Batches of images with boxes: target {"boxes": B of (n, 4) float32 xyxy in pixels of the input, "labels": B of (n,) int64}.

    Args:
        data_dir: folder of the data set.
        reader: how its annotations are read.
        classes: names of the classes, in the order of their numbers.
        split: who is validated on. Beside the reader's columns there is `contents`, which classes are in the picture, to
            stratify by; and `source`, if `sources` is given, to group by.
        image_size: height and width in pixels of the frame that every picture is fitted into.
        batch_size: images per step, over all processes.
        train_transforms: augmentation of the training images in their frame; none may change its size.
        boxes: which boxes stay after augmentation.
        mosaic: four pictures joined to one; default: never.
        multi_scale: limits of a factor on `image_size`, drawn anew for each training batch; default: one size.
        multiple_of: sides of every batch are multiples of so many pixels, as the strides of a network want.
        rectangular: whether evaluation puts pictures of similar proportions together in frames no larger than they need.
        sources: which pictures show nearly the same; it becomes the column `source`.
        subset: rules which training samples are kept; default: all.
        sampler: which samples an epoch shows, in which order.
        test_reader: how the samples to predict are read, for test.py.
        corrections: CSV file (columns where,is,set,to) applied to what the reader found.
        unreadable: what to do about images that cannot be decoded, refuse all by name or leave them out with a report.
        num_workers: processes that make batches, 0 for none beside the trainer itself.
        worker_timeout: seconds after which a worker that gives no batch is given up.
        cache_mb: memory for decoded images; if the data need more, they are decoded anew each epoch.
    """

    def __init__(
        self,
        context: RunContext,
        data_dir: str,
        reader: BaseReader,
        classes: Annotated[list[str], Field(min_length=1)],
        split: Split,
        image_size: tuple[Pixels, Pixels],
        batch_size: Count,
        train_transforms: list[BaseTransform] = [],  # noqa: B006 - never changed
        boxes: Boxes = Boxes(),  # noqa: B008
        mosaic: Mosaic | None = None,
        multi_scale: tuple[Factor, Factor] | None = None,
        multiple_of: Annotated[int, Field(ge=1, le=256)] = 32,
        rectangular: bool = True,
        sources: Sources | None = None,
        subset: Annotated[list[Rule], Field(min_length=1)] | None = None,
        sampler: BaseSampler = ShuffleSampler(),  # noqa: B008
        test_reader: BaseReader | None = None,
        corrections: str | None = None,
        unreadable: Literal["error", "skip"] = "error",
        num_workers: Annotated[int, Field(ge=0, le=256)] = 2,
        worker_timeout: Annotated[float, Field(gt=0, le=86400)] = 45.0,
        cache_mb: Annotated[int, Field(ge=0)] = 2048,
    ) -> None:
        super().__init__(
            context, data_dir, reader, split=split, image_size=image_size, batch_size=batch_size,
            train_transforms=train_transforms, sampler=sampler, test_reader=test_reader, corrections=corrections,
            unreadable=unreadable, num_workers=num_workers, worker_timeout=worker_timeout, cache_mb=cache_mb,
        )  # fmt: skip
        self.classes, self.boxes, self.mosaic, self.multi_scale = classes, boxes, mosaic, multi_scale
        self.multiple_of, self.rectangular, self.sources, self.subset = multiple_of, rectangular, sources, subset

    # What the config says -----------------------------------------------------------------------------------------

    @classmethod
    def declared(cls, args: BaseModel) -> DataSpec:
        """Classes as the config declares them, and the size of pictures where there is only one."""
        size = None if args.rectangular else tuple(args.image_size)  # type: ignore[attr-defined]
        return DataSpec(classes={OBJECT: list(args.classes)}, image_size=size)  # type: ignore[attr-defined]

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Sizes that no frame can have, classes and columns that are not there."""
        twice = sorted({name for name in args.classes if args.classes.count(name) > 1})
        if twice:
            yield "classes", f"found {some(twice)} twice; allowed: names that differ from each other"
        for side in args.image_size:
            if side % args.multiple_of:
                yield "image_size", f"found {side}; allowed: multiples of {args.multiple_of}, which is multiple_of"
        if args.multi_scale is not None and args.multi_scale[0] > args.multi_scale[1]:
            yield "multi_scale", "allowed: two numbers of which the first is not above the second"
        for index, message in subset.unknown_classes(args.subset or [], args.classes):
            yield f"subset[{index}]", message
        yield from steps_that_lose_boxes(args.train_transforms)
        columns = args.reader.cls.columns(args.reader.args)
        if columns is not None:
            yield from _unknown_columns(args, columns)

    def declared_spec(self) -> DataSpec:
        """Classes as the config declares them."""
        return type(self).declared(self)  # type: ignore[arg-type]

    @cached_property
    def spec(self) -> DataSpec:
        """Classes, and how many objects of each there are to train on."""
        return replace(self.declared_spec(), counts=self.object_counts(self.table("train")))

    # Samples ------------------------------------------------------------------------------------------------------

    def read_table(self, reader: BaseReader) -> SampleTable:
        """Return what a reader reads; it refuses objects of other classes itself, since it knows the lines they are on."""
        reader = reader.delegate(self.data_dir)
        return (
            reader.read_objects(self.data_dir, self.classes) if isinstance(reader, ObjectReader) else reader.read(self.data_dir)
        )

    def samples(self) -> tuple[SampleTable, list[str]]:
        """All samples to train and validate on, in order of id, and what was corrected and left out."""
        table, notes = super().samples()
        return table, notes + repairs(table)

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """With the sizes of the pictures; where they are annotated, with the numbers of the classes in `classes`.

        To train and to validate on, with `contents` and `source` too.
        """
        table = with_sizes(table)
        if not has_objects(table):
            if required:
                raise UserError(f"{source}: the reader gives no boxes; data_loader.args.reader must be one that does")
            return table
        objects = objects_of(table)
        labels = objects.labels(self.classes)
        if (labels < 0).any():
            unknown = sorted({objects.names[code] for code in np.unique(objects.codes)} - set(self.classes))
            raise UserError(f"{source}: {some(unknown)}: unknown classes; data_loader.args.classes has {', '.join(self.classes)}")
        numbers = pa.ListArray.from_arrays(pa.array(objects.ends, pa.int32()), pa.array(labels, pa.int16()))
        table = table.with_column(NUMBERS, numbers)
        if required:
            require_sizes(table)
            table = table.with_column(CONTENTS, pa.array(_contents(objects, self.classes), pa.string()))
            table = self.sources.add(table) if self.sources is not None else table
        return table

    def object_counts(self, table: SampleTable) -> dict[str, list[int]]:
        """Boxes of each class."""
        return {OBJECT: class_counts(table, self.classes)}

    def labelled(self, split: str) -> bool:
        """The test samples too, where their reader gives boxes."""
        return has_objects(self.table(split))

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 over the sample ids and sides, whatever `subset` leaves out: stages on different subsets share a split."""
        valid = self.table("valid").ids()
        return splits.split_hash(self._training_side, valid)

    def divide(self, table: SampleTable) -> tuple[SampleTable, SampleTable, list[str]]:
        """Both sides of the split, the training side without what `subset` leaves out."""
        train, valid, notes = super().divide(table)
        self._training_side = train.ids()
        if self.subset is not None:
            kept = train.take(subset.chosen(train, self.subset, self.classes))
            if not len(kept):
                raise UserError("data_loader.args.subset: leaves no training sample; make a rule wider")
            notes += subset.report(train, kept, self.classes)
            train = kept
        counts = {side: class_counts(part, self.classes) for side, part in (("training", train), ("validation", valid))}
        for side, of_class in counts.items():
            lacking = [name for name, count in zip(self.classes, of_class, strict=True) if not count]
            notes += [f"warning: no {side} sample shows any {some(lacking)}"] if lacking else []
        both = zip(self.classes, *counts.values(), strict=True)
        objects = ", ".join(f"{name} {to_train:,} and {to_validate:,}" for name, to_train, to_validate in both)
        return train, valid, [f"objects to train and to validate on: {objects}", *notes]

    @cached_property
    def _sizes(self) -> dict[str, np.ndarray]:
        """By split, height and width of each picture, (N, 2) int64; 0 for a file that is none."""
        sizes = {}
        for split in self.splits:
            columns = [self.table(split).columns[name].combine_chunks().fill_null(0) for name in ("height", "width")]
            sizes[split] = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
        return sizes

    @cached_property
    def _annotations(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """By split, the boxes (N, 4), classes (N,) and ends of each picture's objects, flat for workers to share."""
        found = {}
        for split in ("train", "valid"):
            objects = objects_of(self.table(split))
            found[split] = (objects.boxes, objects.labels(self.classes), objects.ends)
        return found

    # Batches ------------------------------------------------------------------------------------------------------

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """The rows of every batch of a split; pictures of similar proportions together where that saves padding."""
        if not self.rectangular:
            return super().evaluation_order(split)
        sizes = np.maximum(self._sizes[split], 1)
        rows = np.argsort(sizes[:, 0] / sizes[:, 1], kind="stable")
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    def read(self, path: Path, box: Box | None = None) -> np.ndarray:
        """The picture as large as it fits into `image_size`, in the upper left corner of a frame of that size."""
        size = fitted(header_size(str(path)), self.image_size)
        frame = blank(self.image_size)
        frame[: size[0], : size[1]] = read_image(path, size)
        return frame

    def sample(self, key: BatchKey, row: int, draw: int) -> Drawn:
        """One picture in its frame, with its objects. Raises ImageError."""
        if key.augmented:
            return self._augmented(key, row, draw)
        picture, original = self._picture(key.split, row)
        placement = Placement(original, picture.shape[:2])
        boxes, labels = self._objects(key.split, row) if key.split != "test" else (np.zeros((0, 4)), np.zeros(0, np.int64))
        return Drawn(picture, placement.into(boxes), labels, placement)

    def _augmented(self, key: BatchKey, row: int, draw: int) -> Drawn:
        """In a frame of the batch's size."""
        seed, frame = self.draw_seed(key, row, draw), self.frame(key)
        rng = generator(seed, "mosaic")
        others = self.mosaic.others(rng, len(self.table("train"))) if self.mosaic is not None else []
        rows = [row, *others]
        originals = [self._original("train", each) for each in rows]
        assert self.mosaic is not None or not others
        placements = self.mosaic.placements(rng, originals, frame) if others and self.mosaic else [centred(originals[0], frame)]
        canvas, found = blank(frame), []
        for each, placement in zip(rows, placements, strict=True):
            paste(canvas, self._picture("train", each)[0], placement)
            boxes, labels = self._objects("train", each)
            boxes, kept = visible(placement.into(boxes), frame, self.boxes.min_area, self.boxes.min_visibility)
            found.append((boxes, labels[kept]))
        boxes, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
        limits = self.boxes.min_area, self.boxes.min_visibility
        picture, boxes, kept = self.pipelines[True].with_boxes(canvas, boxes, seed, *limits)
        if picture.shape[:2] != frame:
            sizes = "{} x {} pixels for a frame of {} x {}".format(*picture.shape[:2], *frame)
            raise UserError(f"data_loader.args.train_transforms: give pictures of {sizes}; none may change the size")
        return Drawn(picture, boxes, labels[kept], placements[0])

    def frame(self, key: BatchKey) -> Size:
        """Height and width of a training batch: a function of (seed, epoch, number of the batch)."""
        if self.multi_scale is None:
            return self.image_size
        assert key.epoch is not None, "evaluation has frames of its own"
        factor = generator(self.context.seed, "size", key.epoch, key.number).uniform(*self.multi_scale)
        height, width = (rounded_up(round(side * factor), self.multiple_of) for side in self.image_size)
        return height, width

    def _picture(self, split: str, row: int) -> tuple[np.ndarray, Size]:
        """The picture (h, w, 3) as it fits into `image_size`, and its original height and width. Raises ImageError."""
        frame, original = self.decoded(split, row), self._original(split, row)
        height, width = fitted(original, self.image_size)
        return frame[:height, :width], original

    def _original(self, split: str, row: int) -> Size:
        height, width = self._sizes[split][row].tolist()
        return height, width

    def _objects(self, split: str, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) xyxy in absolute pixels of the original, and classes (n,)."""
        boxes, labels, ends = self._annotations[split]
        return boxes[ends[row] : ends[row + 1]], labels[ends[row] : ends[row + 1]]

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """The samples in one frame; in evaluation in its middle, with the affine from there to the originals."""
        batch: Batch = {"image": torch.empty(0), "target": {}, "index": torch.from_numpy(key.rows.astype(np.int64))}
        if not key.augmented:
            samples, geometry = self._framed(samples)
            batch["geometry"] = torch.from_numpy(geometry)
        pictures = torch.from_numpy(np.stack([sample.picture for sample in samples]))
        batch["image"] = pictures.permute(0, 3, 1, 2)
        if key.split != "test":
            boxes = [torch.from_numpy(np.ascontiguousarray(sample.boxes, dtype=np.float32)) for sample in samples]
            batch["target"] = {"boxes": boxes, "labels": [torch.from_numpy(sample.labels) for sample in samples]}
        return batch

    def _framed(self, samples: list[Drawn | None]) -> tuple[list[Drawn], np.ndarray]:
        """Evaluation samples in a common frame, empty for one that could not be read; and their affines (B, 2, 3)."""
        sizes = [sample.placement.size for sample in samples if sample is not None]
        frame = common_frame(sizes, self.multiple_of) if self.rectangular and sizes else self.image_size
        framed = []
        for sample in samples:
            canvas = blank(frame)
            if sample is None:
                framed.append(Drawn(canvas, np.zeros((0, 4)), np.zeros(0, np.int64), Placement(frame, frame)))
                continue
            original, size, *_ = sample.placement
            top, left = (frame[0] - size[0]) // 2, (frame[1] - size[1]) // 2
            placement = Placement(original, size, top, left)
            paste(canvas, sample.picture, placement)
            framed.append(Drawn(canvas, sample.boxes + np.array([left, top, left, top]), sample.labels, placement))
        return framed, np.stack([sample.placement.back() for sample in framed])

    # One picture --------------------------------------------------------------------------------------------------

    def decode(self, content: bytes) -> np.ndarray:
        """The picture at its own size, in whose pixels predictions are. Raises ImageError."""
        return decode_image(content)

    def preprocess(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """(H, W, 3) uint8 RGB of any size, as evaluation would frame it: (3, h, w) uint8, and the affine back."""
        height, width = image.shape[:2]
        size = fitted((height, width), self.image_size)
        small = np.zeros((0, 4)), np.zeros(0, np.int64)
        canvas = blank(size)
        paste(canvas, image, Placement((height, width), size))
        (sample,), geometry = self._framed([Drawn(canvas, *small, Placement((height, width), size))])
        return torch.from_numpy(np.ascontiguousarray(sample.picture.transpose(2, 0, 1))), torch.from_numpy(geometry[0])

    def picture(self, split: str, row: int) -> np.ndarray:
        """The original, (H, W, 3) uint8 RGB: boxes are in its pixels."""
        return read_image(self.table(split).path(row))


def with_sizes(table: SampleTable) -> SampleTable:
    """The table with `width` and `height`, from the files' headers where the reader did not give them; null for no picture."""
    if {"width", "height"} <= set(table.names):
        return table
    found = list(header_sizes([f"{table.root}/{path}" for path in table.paths()]))
    for name, side in (("width", 1), ("height", 0)):
        table = table.with_column(name, pa.array([None if isinstance(size, str) else size[side] for size in found], pa.int32()))
    return table


def _contents(objects: Objects, classes: list[str]) -> list[str]:
    """For each picture the classes in it, in their order, joined by +; empty where there are none."""
    labels, ends = objects.labels(classes), objects.ends
    return ["+".join(classes[n] for n in np.unique(labels[a:b]).tolist()) for a, b in itertools.pairwise(ends.tolist())]


def _unknown_columns(args: Any, columns: set[str]) -> Iterable[tuple[str, str]]:
    if "boxes" not in columns:
        yield "reader", f"{args.reader.type} gives no boxes; allowed: a reader that does"
    known = columns | {CONTENTS} | ({COLUMN} if args.sources is not None else set())
    wanted = [("split.group", args.split.group)] if args.split.group else []
    for key, name in [*wanted, *((f"split.stratify[{index}]", name) for index, name in enumerate(args.split.stratify))]:
        if name not in known:
            yield key, f"there is no column {name}{did_you_mean(name, known)}; there are: {', '.join(sorted(known))}"
