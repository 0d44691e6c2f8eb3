"""Loader of the pretext task, which needs no labels: each picture is turned, and the model predicts the turn."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from base.base_data_loader import LOADERS
from base.contracts import Batch, DataSpec, RunContext, Target
from base.table import SampleTable
from data_loader.augment.transforms import random_steps
from data_loader.batches.batches import Batches, black, stack
from data_loader.batches.stream import BatchKey
from data_loader.crop.croppers import unused
from data_loader.crop.crops import Crops
from data_loader.crop.cut_pictures import CutPictures, CutPictureSettings
from data_loader.image_loader import ImageLoader, ImageLoaderSettings
from data_loader.pictures.decode import Size
from data_loader.samples.samples import Samples, SampleSettings, wrong_sides
from utils.seed import derive

ROTATION = "rotation"
TURNS = ["upright", "a quarter", "a half", "three quarters"]  # counter-clockwise


class RotationSettings(CutPictureSettings, ImageLoaderSettings):
    """The arguments of a RotationLoader."""


class RotationSamples(Samples):
    """Samples with a turn for validation: a function of the sample's id alone."""

    def __init__(self, settings: SampleSettings, size: Size, crops: Crops | None) -> None:
        super().__init__(settings, size, DataSpec(classes={ROTATION: TURNS}), crops)

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table with the turn of each sample in validation."""
        return table.with_column(ROTATION, np.array([derive(ROTATION, name) % len(TURNS) for name in table.ids()], np.int64))


class RotationBatches(Batches):
    """Batches of turned pictures; in training each picture is turned anew each time."""

    def sample(self, key: BatchKey, row: int, draw: int) -> tuple[np.ndarray, int]:
        """Return the transformed and turned picture, (h, w, 3) uint8, and its turn in 0..3. Raises ImageError."""
        turn = self._turn(key, row, draw)
        return np.rot90(super().sample(key, row, draw), turn), turn

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """Return a batch with the turns of its pictures, target {"rotation": (B,) int64}."""
        pictures, turns = zip(*samples, strict=True)
        target: Target = {ROTATION: torch.tensor(turns, dtype=torch.int64)}
        index = torch.from_numpy(key.rows.astype(np.int64))
        return {"image": stack(list(pictures), self.pictures.size), "target": target, "index": index}

    def _turn(self, key: BatchKey, row: int, draw: int) -> int:
        if key.augmented:
            return derive(self.draw_seed(key, row, draw), ROTATION) % len(TURNS)
        return int(self.samples.table(key.split).values(ROTATION, row))


@LOADERS.register("pretext")
class RotationLoader(ImageLoader):
    """Pictures turned by 0, 90, 180 or 270 degrees (Gidaris et al. 2018): target {"rotation": (B,) int64 in 0..3}.

    For a model it is one label of four classes. In training each picture is turned anew each time, after the transforms; in
    validation always the same way. The paper shows all four turns of a picture in one batch; here one turn is drawn. Height
    and width of `image_size` must be equal. A transform that rotates by much more than 20 degrees makes the label wrong.
    """

    def __init__(self, context: RunContext, settings: RotationSettings) -> None:
        pictures = CutPictures(settings)
        samples = RotationSamples(settings, pictures.size, settings.crops)
        super().__init__(settings, samples, pictures, RotationBatches(context, settings, samples, pictures))

    @classmethod
    def declared(cls, args: Any) -> DataSpec:
        """Return the four turns."""
        return DataSpec(classes={ROTATION: TURNS})

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for random steps of evaluation, and for pictures that are not square."""
        yield from random_steps(args.eval_transforms)
        yield from unused(args)
        yield from wrong_sides(args)
        height, width = args.image_size
        if height != width:
            yield (
                "image_size",
                f"found [{height}, {width}]; allowed: height and width equal, or a quarter turn shows in the shape",
            )

    def sketch(self, number: int) -> tuple[DataSpec, Batch]:
        """Return the description with one sample of each turn, and a batch of black pictures."""
        size = self.pictures.evaluated_size()
        spec = DataSpec({ROTATION: TURNS}, {ROTATION: [1] * len(TURNS)}, image_size=size)
        return spec, black(number, size, {ROTATION: torch.arange(number) % len(TURNS)})

    @cached_property
    def spec(self) -> DataSpec:
        """The four turns, with the number of training samples of each turn as validation would turn them."""
        counts = np.bincount(self.table("train").numbers(ROTATION), minlength=len(TURNS))
        return DataSpec({ROTATION: TURNS}, {ROTATION: counts.tolist()}, image_size=self.pictures.evaluated_size())

    def picture(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture with its turn of validation, (h, w, 3) uint8 RGB."""
        return np.ascontiguousarray(np.rot90(super().picture(split, row), int(self.table(split).values(ROTATION, row))))
