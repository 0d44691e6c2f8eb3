"""A pretext that needs no labels: which way up is the picture?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field

from base.base_data_loader import LOADERS, BaseSampler
from base.base_reader import BaseReader
from base.contracts import Batch, DataSpec, RunContext, Target
from base.table import SampleTable
from data_loader.augment.transforms import BaseTransform, random_steps
from data_loader.batches.samplers import ShuffleSampler
from data_loader.batches.stream import BatchKey
from data_loader.crop.croppers import BaseCropper, unused
from data_loader.crop.crops import Crops
from data_loader.image_loader import ImageLoader, stack
from data_loader.samples.splits import Split
from utils.seed import derive

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=8, le=4096)]
ROTATION = "rotation"
TURNS = ["upright", "a quarter", "a half", "three quarters"]  # counter-clockwise


@LOADERS.register("pretext")
class RotationLoader(ImageLoader):
    """Images turned by 0, 90, 180 or 270 degrees, to be told apart (Gidaris et al. 2018): target {"rotation": (B,) int64}.

    To a model it is one label of four classes. In training each picture is turned anew each time, after the transforms; in
    validation always the same way. The paper shows all four turns of a picture in one batch; here each is drawn.

    Args:
        data_dir: folder of the data set.
        reader: how the images are found; labels are not looked at.
        split: who is validated on.
        image_size: height and width in pixels, which must be equal.
        batch_size: images per step, over all processes.
        train_transforms: augmentation of the training images; a rotation by much more than 20 degrees spoils the answer.
        eval_transforms: what validation does instead; without randomness.
        sampler: which samples an epoch shows, in which order.
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
        split: Split,
        image_size: tuple[Pixels, Pixels],
        batch_size: Count,
        train_transforms: list[BaseTransform] = [],  # noqa: B006 - never changed
        eval_transforms: list[BaseTransform] = [],  # noqa: B006
        sampler: BaseSampler = ShuffleSampler(),  # noqa: B008
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
            unreadable=unreadable, num_workers=num_workers, worker_timeout=worker_timeout, cache_mb=cache_mb,
            crops=crops, croppers=croppers,
        )  # fmt: skip

    @classmethod
    def declared(cls, args: BaseModel) -> DataSpec:
        """The four turns."""
        return DataSpec(classes={ROTATION: TURNS})

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Random steps in the evaluation pipeline, and pictures that a quarter turn would give another shape."""
        yield from random_steps(args.eval_transforms)
        yield from unused(args)
        height, width = args.image_size
        if height != width:
            yield (
                "image_size",
                f"found [{height}, {width}]; allowed: height and width equal, or a quarter turn shows in the shape",
            )

    def declared_spec(self) -> DataSpec:
        """The four turns."""
        return type(self).declared(self)  # type: ignore[arg-type]

    @cached_property
    def spec(self) -> DataSpec:
        """The four turns, and how often training would show each if it turned as validation does."""
        counts = np.bincount(self.table("train").numbers(ROTATION), minlength=len(TURNS))
        return DataSpec({ROTATION: TURNS}, {ROTATION: counts.tolist()}, image_size=self.evaluated_size)

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """With the turn that validation shows: a function of the sample's id alone."""
        return table.with_column(ROTATION, np.array([derive(ROTATION, name) % len(TURNS) for name in table.ids()], np.int64))

    def sample(self, key: BatchKey, row: int, draw: int) -> tuple[np.ndarray, int]:
        """The transformed and turned picture, and its turn."""
        turn = self._turn(key, row, draw)
        return np.rot90(super().sample(key, row, draw), turn), turn

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """A batch with the turns that its pictures have."""
        pictures, turns = zip(*samples, strict=True)
        target: Target = {ROTATION: torch.tensor(turns, dtype=torch.int64)}
        index = torch.from_numpy(key.rows.astype(np.int64))
        return {"image": stack(list(pictures), self.image_size), "target": target, "index": index}

    def targets(self, table: SampleTable, rows: np.ndarray) -> Target:
        """The turns of validation."""
        return {ROTATION: torch.from_numpy(table.numbers(ROTATION)[rows])}

    def picture(self, split: str, row: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB, turned as validation turns it."""
        return np.ascontiguousarray(np.rot90(super().picture(split, row), int(self.table(split).values(ROTATION, row))))

    def _turn(self, key: BatchKey, row: int, draw: int) -> int:
        if key.augmented:
            return derive(self.draw_seed(key, row, draw), ROTATION) % len(TURNS)
        return int(self.table(key.split).values(ROTATION, row))
