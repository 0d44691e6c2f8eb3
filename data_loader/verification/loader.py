"""Loader of verification: trains on identities, validates and tests on pairs of people not seen in training."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from base.base_data_loader import LOADERS
from base.contracts import Batch, DataSpec, RunContext, Target
from base.verification.pairs import IDENTITY
from data_loader.augment.transforms import random_steps
from data_loader.batches.batches import Batches, black
from data_loader.crop.croppers import unused
from data_loader.crop.cut_pictures import CutPictures, CutPictureSettings
from data_loader.image_loader import ImageLoader, ImageLoaderSettings
from data_loader.samples.samples import wrong_sides
from data_loader.verification.samples import IdentitySamples, IdentitySettings
from utils.config import did_you_mean


class EmbeddingSettings(CutPictureSettings, IdentitySettings, ImageLoaderSettings):
    """The arguments of an EmbeddingLoader."""


class IdentityBatches(Batches):
    """Batches with a number for each identity: target {"identity": (B,) int64} in training, nothing in validation."""

    def targets(self, split: str, rows: np.ndarray) -> Target:
        """Return {"identity": (B,) int64} in training, nothing in validation."""
        return {IDENTITY: torch.from_numpy(self._numbers[rows])} if split == "train" else {}

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self.samples.table("train").numbers(IDENTITY)


@LOADERS.register("verification")
class EmbeddingLoader(ImageLoader):
    """Batches of pictures with a number for each identity: target {"identity": (B,) int64}.

    Validation and test samples are the pictures of pairs: each is in the table once, and is embedded once, for any number of
    pairs. They have no target for the loss, because their people are not among the trained identities.
    """

    valid_targets = False
    samples: IdentitySamples

    def __init__(self, context: RunContext, settings: EmbeddingSettings) -> None:
        pictures = CutPictures(settings)
        samples = IdentitySamples(settings, pictures.size, settings.crops)
        super().__init__(settings, samples, pictures, IdentityBatches(context, settings, samples, pictures))

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for none or two validation sets, random steps of evaluation, and a sampler that does not fit."""
        yield from random_steps(args.eval_transforms)
        yield from unused(args)
        yield from wrong_sides(args)
        if args.split is not None and args.split.group not in (None, args.identity):
            yield "split.group", f'found "{args.split.group}"; people are split by "{args.identity}", the identity'
        columns = args.reader.cls.columns(args.reader.args)
        if columns is not None and args.identity not in columns:
            near = did_you_mean(args.identity, columns)
            yield "identity", f"the reader gives no column {args.identity}{near}; it gives: {', '.join(sorted(columns))}"
        yield from _unsuited(getattr(args.sampler, "args", None), args.batch_size)

    def sketch(self, number: int) -> tuple[DataSpec, Batch]:
        """Return the description with made-up people of two pictures each, and a batch of black pictures."""
        size, people = self.pictures.evaluated_size(), -(-number // 2)
        spec = DataSpec({IDENTITY: [str(who) for who in range(people)]}, {IDENTITY: [2] * people}, image_size=size)
        return spec, black(number, size, {IDENTITY: torch.arange(number) // 2})

    @cached_property
    def spec(self) -> DataSpec:
        """The names of the identities that are trained, and the number of pictures of each."""
        counts = np.bincount(self.table("train").numbers(IDENTITY)).tolist()
        return DataSpec({IDENTITY: self.samples.people()}, {IDENTITY: counts}, image_size=self.pictures.evaluated_size())


def _unsuited(sampler: Any, batch_size: int) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for arguments of a sampler that do not fit the label `identity`."""
    for key in ("label", "labels"):
        given = getattr(sampler, key, None)
        for name in [given] if isinstance(given, str) else given or []:
            if name != IDENTITY:
                yield f"sampler.args.{key}", f'found "{name}"; the only label here is "{IDENTITY}"'
    if (people := getattr(sampler, "identities", None)) and people * sampler.images != batch_size:
        yield "batch_size", f"found {batch_size}; {people} identities x {sampler.images} images are {people * sampler.images}"
