"""Images with attributes: any number of labels per image, each of which may be unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field

from base.base_data_loader import LOADERS, BaseSampler
from base.base_reader import BaseReader
from base.contracts import DataSpec, RunContext, Target
from base.labels import unknown_label
from base.table import SampleTable
from data_loader.croppers import BaseCropper, unused
from data_loader.crops import Crops
from data_loader.image_loader import ImageLoader
from data_loader.labels import Labels, add_labels, label_problems, label_spec, learned_labels, read_labels
from data_loader.samplers import ShuffleSampler
from data_loader.splits import Split
from data_loader.transforms import BaseTransform, random_steps
from utils.config import did_you_mean

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=8, le=4096)]


@LOADERS.register("attributes")
class AttributeLoader(ImageLoader):
    """Batches of images with a class number per attribute: target {label: (B,) int64, -1 unknown}.

    Args:
        data_dir: folder of the data set.
        reader: how its annotations are read.
        labels: label -> its classes and where they come from, or {"combine": [labels]} for one class for each combination of
            theirs. Their order is that of the combined class.
        split: who is validated on.
        image_size: height and width in pixels to which every image is resized when it is decoded, before any transform.
        batch_size: images per step, over all processes.
        train_transforms: augmentation of the training images.
        eval_transforms: what validation, test and app do instead; without randomness.
        sampler: which samples an epoch shows, in which order.
        test_reader: how the samples to predict are read, for test.py.
        learn: the labels that are learned, in this order; default: all but those that another one combines.
        corrections: CSV file (columns where,is,set,to) applied to what the reader found.
        unreadable: what to do about images that cannot be decoded, refuse all by name or leave them out with a report.
        num_workers: processes that make batches, 0 for none beside the trainer itself.
        worker_timeout: seconds after which a worker that gives no batch is given up.
        cache_mb: memory for decoded images; if the data need more, they are decoded anew each epoch.
        crops: boxes that every picture is cut to before it is resized; default: pictures stay whole.
        croppers: what finds a box, in the order in which they are asked: for `python -m data_loader.prepare crop`, and for
            pictures that are not of the data, as in the app.
    """

    def __init__(
        self,
        context: RunContext,
        data_dir: str,
        reader: BaseReader,
        labels: Annotated[Labels, Field(min_length=1)],
        split: Split,
        image_size: tuple[Pixels, Pixels],
        batch_size: Count,
        train_transforms: list[BaseTransform] = [],  # noqa: B006 - never changed
        eval_transforms: list[BaseTransform] = [],  # noqa: B006
        sampler: BaseSampler = ShuffleSampler(),  # noqa: B008
        test_reader: BaseReader | None = None,
        learn: Annotated[list[str], Field(min_length=1)] | None = None,
        corrections: str | None = None,
        unreadable: Literal["error", "skip"] = "error",
        num_workers: Annotated[int, Field(ge=0, le=256)] = 2,
        worker_timeout: Annotated[float, Field(gt=0, le=86400)] = 45.0,
        cache_mb: Annotated[int, Field(ge=0)] = 2048,
        crops: Crops | None = None,
        croppers: list[BaseCropper] = [],  # noqa: B006
    ) -> None:
        super().__init__(
            context, data_dir, reader, split, image_size, batch_size, train_transforms, eval_transforms, sampler,
            test_reader, corrections, unreadable, num_workers, worker_timeout, cache_mb, crops, croppers,
        )  # fmt: skip
        self.labels, self.learn = labels, learn

    @classmethod
    def declared(cls, args: BaseModel) -> DataSpec:
        """Classes as the config declares them."""
        return label_spec(args.labels, args.learn)  # type: ignore[attr-defined]

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Random steps in the evaluation pipeline, and labels that others, the sampler or the split would not find."""
        yield from random_steps(args.eval_transforms)
        yield from label_problems(args.labels, args.learn)
        yield from unused(args)
        yield from _unknown_columns(args, args.reader.cls.columns(args.reader.args))
        yield from _unsuited(getattr(args.sampler, "args", None), spec)  # the default is no part of the config

    def declared_spec(self) -> DataSpec:
        """Classes as the config declares them."""
        return type(self).declared(self)  # type: ignore[arg-type]

    @cached_property
    def spec(self) -> DataSpec:
        """Classes, and how many training samples each class has."""
        spec, table = self.declared_spec(), self.table("train")
        counts = {name: _counts(table.numbers(name), spec.trained(name)) for name in spec.classes}
        return replace(spec, counts=counts, image_size=self.evaluated_size)

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Class numbers for every label."""
        there = all((label.column or name) in table.names for name, label in read_labels(self.labels).items())
        return add_labels(table, self.labels, source) if there or required else table

    def labelled(self, split: str) -> bool:
        """The test samples too, where every label's column is there."""
        return all(name in self.table(split).names for name in self.labels)

    def targets(self, table: SampleTable, rows: np.ndarray) -> Target:
        """{label: (B,) int64}, of those that are learned."""
        columns = self._columns[id(table)]
        return {name: torch.from_numpy(values[rows].astype(np.int64)) for name, values in columns.items()}

    @cached_property
    def _columns(self) -> dict[int, dict[str, np.ndarray]]:
        """Label columns of the two sides as arrays: taking a batch's rows from Arrow each time would be slower."""
        tables = (self.table("train"), self.table("valid"))
        learned = learned_labels(self.labels, self.learn)
        return {id(table): {name: table.numbers(name) for name in learned} for table in tables}


def _unsuited(sampler: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
    """What is wrong between a sampler's arguments and the labels."""
    for name in getattr(sampler, "labels", []):
        if name not in spec.classes:
            yield "sampler.args.labels", unknown_label(name, spec)
    if (name := getattr(sampler, "label", None)) is None:
        return
    if name not in spec.classes:
        yield "sampler.args.label", unknown_label(name, spec)
    elif len(sampler.weights) != spec.trained(name):
        yield "sampler.args.weights", f"found {len(sampler.weights)} weights; {name} is trained in {spec.trained(name)} classes"


def _counts(values: np.ndarray, classes: int) -> list[int]:
    return [int(count) for count in np.bincount(values[values >= 0], minlength=classes)]


def _unknown_columns(args: Any, columns: set[str] | None) -> Iterable[tuple[str, str]]:
    """Columns that the reader will not give, where the config alone says what it gives."""
    if columns is None:
        return
    labels = read_labels(args.labels).items()
    wanted = [(f"labels.{name}{'.column' if label.column else ''}", label.column or name, columns) for name, label in labels]
    with_labels = columns | set(args.labels)
    wanted += [("split.group", args.split.group, with_labels)] if args.split.group else []
    wanted += [(f"split.stratify[{index}]", name, with_labels) for index, name in enumerate(args.split.stratify)]
    for key, name, known in wanted:
        if name not in known:
            yield key, f"the reader gives no column {name}{did_you_mean(name, known)}; it gives: {', '.join(sorted(known))}"
