"""Pictures in their own proportions, fitted into frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field

from base.base_pictures import Prepared
from base.types import Multiple, ScenePixels
from data_loader.pictures.decode import Box, decode_image, read_image
from data_loader.pictures.image_header import header_size
from data_loader.pictures.letterbox import GREY, Placement, blank, common_frame, fitted, paste
from data_loader.pictures.pictures import Pictures, PictureSettings


class FrameSettings(PictureSettings):
    """Config of pictures in frames."""

    image_size: tuple[ScenePixels, ScenePixels] = Field(
        description="height and width in pixels of the frame that every picture is fitted into"
    )
    multiple_of: Multiple = Field(
        default=32, description="sides of every batch are multiples of this number of pixels, as the strides of a network require"
    )
    rectangular: bool = Field(
        default=True,
        description="true if evaluation puts pictures of similar proportions together, in frames no larger than necessary",
    )


class Drawn(NamedTuple):
    """One sample of a batch."""

    picture: np.ndarray  # (h, w, 3) uint8
    boxes: np.ndarray  # (n, 4), xyxy in absolute pixels of the picture
    labels: np.ndarray  # (n,) int64
    placement: Placement  # place of the original in the picture; not valid after augmentation


def without_objects(picture: np.ndarray, placement: Placement) -> Drawn:
    """Return a sample without boxes, or with unknown boxes."""
    return Drawn(picture, np.zeros((0, 4)), np.zeros(0, np.int64), placement)


class FramedPictures(Pictures):
    """Pictures resized until they fit into one size, in frames of that size or of the smallest common size."""

    def __init__(self, settings: FrameSettings) -> None:
        super().__init__(settings)
        self.multiple_of, self.rectangular = settings.multiple_of, settings.rectangular

    def read(self, path: Path, box: Box | None = None) -> np.ndarray:
        """Return the picture as large as it fits into `size`, in the upper left corner of a frame (h, w, 3) uint8 of `size`."""
        size = fitted(header_size(str(path)), self.size)
        frame = blank(self.size)
        frame[: size[0], : size[1]] = read_image(path, size, damaged=self.damaged(path))
        return frame

    def decode(self, content: bytes) -> np.ndarray:
        """Return the picture at its own size, (H, W, 3) uint8 RGB; predictions are in its pixels. Raises ImageError."""
        return decode_image(content)

    def preprocess(self, image: np.ndarray) -> Prepared:
        """Return a picture (H, W, 3) uint8 RGB of any size in the frame of an evaluation."""
        height, width = image.shape[:2]
        placement = Placement((height, width), fitted((height, width), self.size))
        canvas = blank(placement.size)
        paste(canvas, image, placement)
        (sample,), geometry = self.framed([without_objects(canvas, placement)])
        picture = np.ascontiguousarray(sample.picture.transpose(2, 0, 1))
        return Prepared(torch.from_numpy(picture), torch.from_numpy(geometry[0]))

    def preprocessing(self) -> dict[str, Any]:
        """Return the frame, the place of a picture in it, the order of the colours, and the transforms of evaluation."""
        known = super().preprocessing()
        return {
            "frame": known.pop("resize"),
            "resize": "as large as it fits into the frame, in its own proportions (letterbox)",
            "place": f"in the middle of the frame, offsets rounded down; the rest is grey {GREY}",
            "boxes": "x1 y1 x2 y2 in pixels of the frame; in pixels of the picture: (x - left) / scale, (y - top) / scale",
            **known,
        }

    def recipe(self) -> list[str]:
        """Return lines of Python that put `picture` into the frame `image`."""
        height, width = self.size
        return [
            f"scale = min({height} / picture.shape[0], {width} / picture.shape[1])",
            "h, w = (max(1, round(side * scale)) for side in picture.shape[:2])",
            f"top, left = ({height} - h) // 2, ({width} - w) // 2",
            f"image = np.full(({height}, {width}, 3), {GREY}, np.uint8)",
            "ratios = picture.shape[0] / h, picture.shape[1] / w",
            "how = cv2.INTER_AREA if min(ratios) >= 1 and max(ratios) > 1.5 else cv2.INTER_LINEAR",
            "image[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=how)",
        ]

    def framed(self, samples: Sequence[Drawn | None]) -> tuple[list[Drawn], np.ndarray]:
        """Return evaluation samples in a common frame, and their affine maps (B, 2, 3) float32 to the originals.

        An unreadable sample (None) gets an empty frame.
        """
        sizes = [sample.placement.size for sample in samples if sample is not None]
        frame = common_frame(sizes, self.multiple_of) if self.rectangular and sizes else self.size
        framed = []
        for sample in samples:
            canvas = blank(frame)
            if sample is None:
                framed.append(without_objects(canvas, Placement(frame, frame)))
                continue
            original, size, *_ = sample.placement
            top, left = (frame[0] - size[0]) // 2, (frame[1] - size[1]) // 2
            placement = Placement(original, size, top, left)
            paste(canvas, sample.picture, placement)
            framed.append(Drawn(canvas, sample.boxes + np.array([left, top, left, top]), sample.labels, placement))
        return framed, np.stack([sample.placement.back() for sample in framed])
