"""Batches of pictures with boxes, in one frame each."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from base.contracts import Batch, RunContext
from base.types import NotNegative, Share
from data_loader.batches.batches import Batches, BatchSettings
from data_loader.batches.stream import BatchKey
from data_loader.detection.mosaic import Mosaic, visible
from data_loader.detection.pictures import Drawn, FramedPictures, without_objects
from data_loader.detection.samples import ObjectSamples
from data_loader.pictures.decode import Size
from data_loader.pictures.letterbox import Placement, blank, centred, fitted, paste, rounded_up
from utils.errors import UserError
from utils.seed import generator
from utils.validate import Settings

Factor = Annotated[float, Field(ge=0.25, le=4)]


class Boxes(Settings):
    """The limits of boxes that stay after augmentation has cut or covered them; a covered box keeps its size.

    A picture whose boxes are all left out stays as a picture without objects.
    """

    min_area: NotNegative = Field(default=4.0, description="smallest area of a box in square pixels of the model's input")
    min_visibility: Share = Field(default=0.1, description="smallest visible share of a box's area after a step")


class ObjectBatchSettings(BatchSettings):
    """Config of batches of pictures with boxes."""

    boxes: Boxes = Field(default=Boxes(), description="limits of the boxes that stay after augmentation")
    mosaic: Mosaic | None = Field(default=None, description="four pictures joined to one; default: never")
    multi_scale: tuple[Factor, Factor] | None = Field(
        default=None, description="limits of a factor on `image_size`, drawn anew for each training batch; default: one size"
    )


class ObjectBatches(Batches):
    """Batches with boxes: {"boxes": B of (n, 4) float32 xyxy in pixels of the input, "labels": B of (n,) int64}."""

    samples: ObjectSamples
    pictures: FramedPictures

    def __init__(
        self, context: RunContext, settings: ObjectBatchSettings, samples: ObjectSamples, pictures: FramedPictures
    ) -> None:
        super().__init__(context, settings, samples, pictures)
        self.mosaic, self.multi_scale = settings.mosaic, settings.multi_scale
        self.limits = settings.boxes.min_area, settings.boxes.min_visibility

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the rows of every batch of a split; pictures of similar proportions are together if this saves padding."""
        if not self.pictures.rectangular:
            return super().evaluation_order(split)
        sizes = np.maximum(self.samples.sizes(split), 1)
        return self.cut(np.argsort(sizes[:, 0] / sizes[:, 1], kind="stable"))

    def sample(self, key: BatchKey, row: int, draw: int) -> Drawn:
        """Return one picture in its frame, with its objects. Raises ImageError."""
        if key.augmented:
            return self._augmented(key, row, draw)
        picture, original = self._picture(key.split, row)
        placement = Placement(original, picture.shape[:2])
        if key.split == "test":
            return without_objects(picture, placement)
        boxes, labels = self.samples.objects(key.split, row)
        return Drawn(picture, placement.into(boxes), labels, placement)

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """Return the samples in one frame; in evaluation they are in its middle.

        In evaluation `geometry` has the affine maps (B, 2, 3) float32 from the frame to the original pictures.
        """
        batch: Batch = {"image": torch.empty(0), "target": {}, "index": torch.from_numpy(key.rows.astype(np.int64))}
        if not key.augmented:
            samples, geometry = self.pictures.framed(samples)
            batch["geometry"] = torch.from_numpy(geometry)
        pictures = torch.from_numpy(np.stack([sample.picture for sample in samples]))
        batch["image"] = pictures.permute(0, 3, 1, 2)
        if key.split != "test":
            boxes = [torch.from_numpy(np.ascontiguousarray(sample.boxes, dtype=np.float32)) for sample in samples]
            batch["target"] = {"boxes": boxes, "labels": [torch.from_numpy(sample.labels) for sample in samples]}
        return batch

    def frame(self, key: BatchKey) -> Size:
        """Return height and width of a training batch: a function of (seed, epoch, number of the batch)."""
        if self.multi_scale is None:
            return self.pictures.size
        assert key.epoch is not None, "evaluation has frames of its own"
        factor = generator(self.seed, "size", key.epoch, key.number).uniform(*self.multi_scale)
        height, width = (rounded_up(round(side * factor), self.pictures.multiple_of) for side in self.pictures.size)
        return height, width

    def _augmented(self, key: BatchKey, row: int, draw: int) -> Drawn:
        """Return a picture, or several in a mosaic, in a frame of the batch's size."""
        seed, frame = self.draw_seed(key, row, draw), self.frame(key)
        rng = generator(seed, "mosaic")
        others = self.mosaic.others(rng, len(self.samples.table("train"))) if self.mosaic is not None else []
        rows = [row, *others]
        originals = [self.samples.original("train", each) for each in rows]
        assert self.mosaic is not None or not others
        placements = self.mosaic.placements(rng, originals, frame) if others and self.mosaic else [centred(originals[0], frame)]
        canvas, parts_of_frame = blank(frame), []
        for each, placement in zip(rows, placements, strict=True):
            paste(canvas, self._picture("train", each)[0], placement)
            boxes, labels = self.samples.objects("train", each)
            boxes, kept = visible(placement.into(boxes), frame, *self.limits)
            parts_of_frame.append((boxes, labels[kept]))
        boxes, labels = (np.concatenate(parts) for parts in zip(*parts_of_frame, strict=True))
        picture, boxes, kept = self.pictures.training.with_boxes(canvas, boxes, seed, *self.limits)
        if picture.shape[:2] != frame:
            sizes = "{} x {} pixels for a frame of {} x {}".format(*picture.shape[:2], *frame)
            raise UserError(f"data_loader.args.train_transforms: give pictures of {sizes}; none may change the size")
        return Drawn(picture, boxes, labels[kept], placements[0])

    def _picture(self, split: str, row: int) -> tuple[np.ndarray, Size]:
        """Return the picture (h, w, 3) as it fits into `size`, and its original height and width. Raises ImageError."""
        frame, original = self.decoded(split, row), self.samples.original(split, row)
        height, width = fitted(original, self.pictures.size)
        return frame[:height, :width], original
