"""Loader of pictures with attributes: any number of labels, each of which may be unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from pydantic import Field

from base.base_data_loader import LOADERS
from base.contracts import PARTNER, SHARE, Batch, DataSpec, RunContext
from base.labels import unknown_label
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabelled, PseudoLabels
from data_loader.attributes.batches import AttributeBatches
from data_loader.attributes.labels import label_problems, label_spec, read_labels
from data_loader.attributes.samples import AttributeSamples, AttributeSampleSettings, class_counts
from data_loader.augment.mixing import BaseMix, wrong_shares
from data_loader.augment.transforms import random_steps
from data_loader.batches.batches import black
from data_loader.crop.croppers import unused
from data_loader.crop.cut_pictures import CutPictures, CutPictureSettings
from data_loader.image_loader import ImageLoader, ImageLoaderSettings
from data_loader.samples.samples import wrong_sides
from data_loader.samples.splits import wanted_columns
from utils.config import did_you_mean

RESERVED = {SHARE, PARTNER}


class AttributeSettings(CutPictureSettings, AttributeSampleSettings, ImageLoaderSettings):
    """The arguments of an AttributeLoader."""

    mix: list[BaseMix] = Field(
        default=[],
        description="two training pictures in one, each label counted by its share; several ways share the samples by their `p`",
    )


@LOADERS.register("attributes")
class AttributeLoader(ImageLoader, PseudoLabelled):
    """Batches of pictures with a class number for each attribute: target {label: (B,) int64, -1 unknown}."""

    samples: AttributeSamples

    def __init__(self, context: RunContext, settings: AttributeSettings) -> None:
        pictures = CutPictures(settings)
        samples = AttributeSamples(settings, pictures.size, settings.crops, context.spec)
        super().__init__(settings, samples, pictures, AttributeBatches(context, settings, samples, pictures, settings.mix))

    @classmethod
    def declared(cls, args: Any) -> DataSpec:
        """Return the classes as the config declares them."""
        return label_spec(args.labels, args.learn)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for random steps of evaluation, and for labels that the reader, the sampler or the split lacks."""
        yield from random_steps(args.eval_transforms)
        yield from wrong_shares(args.mix)
        yield from ((f"labels.{name}", "is a key of targets; call the label otherwise") for name in RESERVED & set(args.labels))
        yield from label_problems(args.labels, args.learn)
        yield from unused(args)
        yield from wrong_sides(args)
        yield from _unknown_columns(args, args.reader.cls.columns(args.reader.args))
        yield from _unsuited(getattr(args.sampler, "args", None), spec)  # the default sampler is not part of the config

    @classmethod
    def shares(cls, args: Any) -> str | None:
        """Return `mix` if training pictures are mixed."""
        return "mix" if args.mix else None

    def sketch(self, number: int) -> tuple[DataSpec, Batch] | None:
        """Return the description with one sample of each class, and a batch of black pictures; None if the data name classes."""
        declared, size = self.samples.spec, self.pictures.evaluated_size()
        if not all(declared.classes.values()):
            return None
        counts = {name: [1] * declared.trained(name) for name in declared.classes}
        target = {name: torch.arange(number) % declared.trained(name) for name in self.samples.learned}
        return replace(declared, counts=counts, image_size=size), black(number, size, target)

    @cached_property
    def spec(self) -> DataSpec:
        """The classes, and the number of training samples of each class."""
        table = self.samples.sides.train  # read first: it may tell the classes
        spec = self.samples.spec
        counts = {name: class_counts(table, name, spec.trained(name)) for name in spec.classes}
        return replace(spec, counts=counts, image_size=self.pictures.evaluated_size())

    @property
    def pools(self) -> tuple[str, ...]:
        """The splits of `test_reader` and `unlabelled_reader`."""
        return self.samples.pools

    def pseudo_labels(self, split: str, predictions: Predictions) -> PseudoLabels:
        """Return the most probable class of each label, for samples that share no file and no group with validation."""
        return self.samples.pseudo_labels(split, predictions)

    def adopt(self, split: str, labels: PseudoLabels, weight: float) -> None:
        """Train on the samples of a split too; a label without a proposal is not known."""
        self.close()  # the worker processes have the old table
        self.samples.adopt(split, labels, weight)


def _unsuited(sampler: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for arguments of a sampler that do not fit the labels."""
    for name in getattr(sampler, "labels", []):
        if name not in spec.classes:
            yield "sampler.args.labels", unknown_label(name, spec)
    if (name := getattr(sampler, "label", None)) is None:
        return
    if name not in spec.classes:
        yield "sampler.args.label", unknown_label(name, spec)
    elif spec.trained(name) and len(sampler.weights) != spec.trained(name):
        yield "sampler.args.weights", f"found {len(sampler.weights)} weights; {name} is trained in {spec.trained(name)} classes"


def _unknown_columns(args: Any, columns: set[str] | None) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for columns that the reader does not have, if they are known from the config alone."""
    if columns is None:
        return
    labels = read_labels(args.labels).items()
    wanted = [(f"labels.{name}{'.column' if label.column else ''}", label.column or name, columns) for name, label in labels]
    with_labels = columns | set(args.labels)
    wanted += [(key, name, with_labels) for key, name in wanted_columns(args.split)]
    for key, name, known in wanted:
        if name not in known:
            yield key, f"the reader gives no column {name}{did_you_mean(name, known)}; it gives: {', '.join(sorted(known))}"
