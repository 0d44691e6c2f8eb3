"""Loader of pictures with objects in boxes, in their own proportions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from base.base_data_loader import LOADERS
from base.contracts import Batch, DataSpec, RunContext
from base.detection.objects import OBJECT
from base.table import some
from data_loader.augment.transforms import steps_that_lose_boxes
from data_loader.batches.batches import black
from data_loader.detection import subset
from data_loader.detection.batches import ObjectBatches, ObjectBatchSettings
from data_loader.detection.pictures import FramedPictures, FrameSettings
from data_loader.detection.samples import CONTENTS, ObjectSamples, ObjectSampleSettings
from data_loader.image_loader import ImageLoader, ImageLoaderSettings
from data_loader.pictures.decode import read_image
from data_loader.samples.near_duplicates import COLUMN
from data_loader.samples.samples import wrong_sides
from data_loader.samples.splits import wanted_columns
from utils.config import did_you_mean


class DetectionSettings(ObjectBatchSettings, FrameSettings, ObjectSampleSettings, ImageLoaderSettings):
    """The arguments of a DetectionLoader."""


@LOADERS.register("detection")
class DetectionLoader(ImageLoader):
    """Batches of pictures with boxes; the target has `boxes` and `labels`, B tensors each.

    boxes: (n, 4) float32 xyxy in pixels of the input. labels: (n,) int64. Training pictures are augmented in their frame; no
    transform may change its size.
    """

    samples: ObjectSamples

    def __init__(self, context: RunContext, settings: DetectionSettings) -> None:
        pictures = FramedPictures(settings)
        samples = ObjectSamples(settings, pictures.size, self.declared(settings))
        super().__init__(settings, samples, pictures, ObjectBatches(context, settings, samples, pictures))

    @classmethod
    def declared(cls, args: Any) -> DataSpec:
        """Return the classes as the config declares them, and the size of the pictures if there is only one."""
        size = None if args.rectangular else tuple(args.image_size)
        return DataSpec(classes={OBJECT: list(args.classes)}, image_size=size)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for impossible frame sizes, and for unknown classes and columns."""
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
        yield from wrong_sides(args)
        columns = args.reader.cls.columns(args.reader.args)
        if columns is not None:
            yield from _unknown_columns(args, columns)

    def sketch(self, number: int) -> tuple[DataSpec, Batch]:
        """Return the description with one object of each class, and a batch of black pictures."""
        declared, (height, width) = self.samples.spec, self.pictures.size
        spec = replace(declared, counts={OBJECT: [1] * len(declared.classes[OBJECT])})
        boxes = [torch.tensor([[0.0, 0.0, width / 2, height / 2]]) for _ in range(number)]
        target = {"boxes": boxes, "labels": [torch.zeros(1, dtype=torch.int64) for _ in range(number)]}
        return spec, black(number, (height, width), target)

    @cached_property
    def spec(self) -> DataSpec:
        """The classes, and the number of training objects of each class."""
        return replace(self.samples.spec, counts=self.samples.object_counts(self.table("train")))

    def picture(self, split: str, row: int) -> np.ndarray:
        """Return the original picture of a sample, (H, W, 3) uint8 RGB; boxes are in its pixels."""
        return read_image(self.table(split).path(row))


def _unknown_columns(args: Any, columns: set[str]) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for columns of the split that the reader does not have."""
    if "boxes" not in columns:
        yield "reader", f"{args.reader.type} gives no boxes; allowed: a reader that does"
    known = columns | {CONTENTS} | ({COLUMN} if args.sources is not None else set())
    for key, name in wanted_columns(args.split):
        if name not in known:
            yield key, f"there is no column {name}{did_you_mean(name, known)}; there are: {', '.join(sorted(known))}"
