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
from base.contracts import PARTNER, SHARE, Batch, DataSpec, RunContext, Target
from base.labels import unknown_label
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabels
from base.table import SampleTable
from data_loader.attributes.labels import Labels, add_labels, label_problems, label_spec, learned_labels, read_labels
from data_loader.attributes.unlabelled import Adopted, adopted, propose, validated_on
from data_loader.augment.mixing import BaseMix, Mixed, chosen, shared, wrong_shares
from data_loader.augment.transforms import BaseTransform, random_steps
from data_loader.batches.samplers import ShuffleSampler
from data_loader.batches.stream import BatchKey
from data_loader.crop.croppers import BaseCropper, unused
from data_loader.crop.crops import Crops
from data_loader.image_loader import ImageLoader, require_one_size
from data_loader.samples.splits import Split
from utils.config import did_you_mean
from utils.seed import derive, generator

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=8, le=4096)]
RESERVED = {SHARE, PARTNER}
UNLABELLED = "unlabelled"  # the split of `unlabelled_reader`


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
        mix: two training pictures in one, each label counted by its share; several ways share the samples by their `p`.
        sampler: which samples an epoch shows, in which order.
        test_reader: how the samples to predict are read, for test.py.
        unlabelled_reader: how further samples are read that pseudo-labels are made for; labels of theirs are not looked at.
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
        mix: list[BaseMix] = [],  # noqa: B006
        sampler: BaseSampler = ShuffleSampler(),  # noqa: B008
        test_reader: BaseReader | None = None,
        unlabelled_reader: BaseReader | None = None,
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
            context, data_dir, reader, split=split, image_size=image_size, batch_size=batch_size,
            train_transforms=train_transforms, eval_transforms=eval_transforms, sampler=sampler,
            test_reader=test_reader, corrections=corrections, unreadable=unreadable, num_workers=num_workers,
            worker_timeout=worker_timeout, cache_mb=cache_mb, crops=crops, croppers=croppers,
        )  # fmt: skip
        self.labels, self.learn, self.mix, self.unlabelled_reader = labels, learn, mix, unlabelled_reader
        self._adopted: Adopted | None = None
        self._shown: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))  # an epoch, and the rows in it

    @classmethod
    def declared(cls, args: BaseModel) -> DataSpec:
        """Classes as the config declares them."""
        return label_spec(args.labels, args.learn)  # type: ignore[attr-defined]

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Random steps in the evaluation pipeline, and labels that others, the sampler or the split would not find."""
        yield from random_steps(args.eval_transforms)
        yield from wrong_shares(args.mix)
        yield from ((f"labels.{name}", "is a key of targets; call the label otherwise") for name in RESERVED & set(args.labels))
        yield from label_problems(args.labels, args.learn)
        yield from unused(args)
        yield from _unknown_columns(args, args.reader.cls.columns(args.reader.args))
        yield from _unsuited(getattr(args.sampler, "args", None), spec)  # the default is no part of the config

    @classmethod
    def shares(cls, args: Any) -> str | None:
        """Return `mix` if training pictures are mixed."""
        return "mix" if args.mix else None

    def declared_spec(self) -> DataSpec:
        """Classes as the config declares them."""
        return type(self).declared(self)  # type: ignore[arg-type]

    @cached_property
    def spec(self) -> DataSpec:
        """Classes, and how many training samples each class has."""
        spec, table = self.declared_spec(), self._sides.train
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
        """{label: (B,) int64}, of those that are learned; with `share` where adopted samples have a weight of their own."""
        columns = self._columns[id(table)]
        found: Target = {name: torch.from_numpy(values[rows].astype(np.int64)) for name, values in columns.items()}
        if self._adopted is not None and self._adopted.weight != 1 and table is self._adopted.table:
            found[SHARE] = torch.from_numpy(self._adopted.shares(rows))
        return found

    def sample(self, key: BatchKey, row: int, draw: int) -> Any:
        """The transformed picture, (h, w, 3) uint8; in training with `mix` a `Mixed`. Raises ImageError."""
        picture = super().sample(key, row, draw)
        return self._mixed(key, row, draw, picture) if key.augmented and self.mix else picture

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """A batch; of mixed samples, its target has `share` and `partner`."""
        if not (key.augmented and self.mix):
            return super().collate(key, samples)
        pictures, shares, partners = zip(*samples, strict=True)
        batch = super().collate(key, list(pictures))
        batch["target"] = shared(batch["target"], self.targets(self.table("train"), np.array(partners)), shares)
        return batch

    def _mixed(self, key: BatchKey, row: int, draw: int, picture: np.ndarray) -> Mixed:
        """With a partner of all that the epoch shows, as often as the sampler does: a function of (seed, epoch, sample id)."""
        assert key.epoch is not None, "only what an epoch shows is mixed"
        seed = self.draw_seed(key, row, draw)
        rng = generator(seed, "mix")
        mix = chosen(self.mix, rng)
        if mix is None:
            return Mixed(picture, 1.0, row)
        if self._shown[0] != key.epoch:
            self._shown = key.epoch, np.concatenate(self.order(key.epoch))
        partner = int(rng.choice(self._shown[1]))
        other = self.pipelines[True](self.decoded("train", partner), derive(seed, "partner"))
        require_one_size([picture, other])
        return Mixed(*mix.join(picture, other, rng), partner)

    # Samples without labels ---------------------------------------------------------------------------------------

    @property
    def pools(self) -> tuple[str, ...]:
        """Those of `test_reader` and `unlabelled_reader`."""
        readers = {"test": self.test_reader, UNLABELLED: self.unlabelled_reader}
        return tuple(split for split, reader in readers.items() if reader is not None)

    def table(self, split: str) -> SampleTable:
        """The samples of a split, in order of id; those to train on, and behind them those that were adopted."""
        if split == UNLABELLED and self.unlabelled_reader is not None:
            return self._unlabelled
        return self._adopted.table if split == "train" and self._adopted is not None else super().table(split)

    @cached_property
    def _unlabelled(self) -> SampleTable:
        assert self.unlabelled_reader is not None
        return self.cutting.boxed(self.read_table(self.unlabelled_reader).sorted())[0][0]

    def all_tables(self) -> list[SampleTable]:
        """With that of the unlabelled reader."""
        return [*super().all_tables(), *([self.read_table(self.unlabelled_reader)] if self.unlabelled_reader is not None else [])]

    def order(self, epoch: int) -> list[np.ndarray]:
        """The rows of every global training batch of an epoch, adopted samples among them."""
        batches = super().order(epoch)
        return batches if self._adopted is None else self._adopted.deal(batches, self.context.seed, epoch)

    def pseudo_labels(self, split: str, predictions: Predictions) -> PseudoLabels:
        """The likeliest class of each label, for samples that show no file and no group that is validated on."""
        assert self.split is not None
        held_out = validated_on(self.table(split), self.table("valid"), self.split.group, self.split.check_bytes)
        return propose(predictions, self.declared_spec(), held_out)

    def adopt(self, split: str, labels: PseudoLabels, weight: float) -> None:
        """Train on these too; a label that is not proposed for a sample is not known."""
        self.close()  # worker processes have the table of before
        learned = learned_labels(self.labels, self.learn)
        self._adopted = adopted(self._sides.train, self.table(split), split, labels, learned, weight)
        self._shown = (-1, np.zeros(0, np.int64))
        self.__dict__.pop("_columns", None)

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
