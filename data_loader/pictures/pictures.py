"""The pictures of a loader: decoded, kept in memory, transformed; and the preprocessing of pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import ConfigDict, Field

from base.base_pictures import BasePictures, Prepared
from base.types import CountOrZero, Pixels
from data_loader.augment.transforms import BaseTransform, Pipeline
from data_loader.pictures.cache import PictureCache
from data_loader.pictures.decode import Box, ImageError, Size, cut, decode_image, read_image, resize
from utils.validate import Settings

MEGABYTE = 2**20


class PictureSettings(Settings):
    """Config of the pictures of every loader."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    image_size: tuple[Pixels, Pixels] = Field(
        description="height and width in pixels to which every image is resized when it is decoded, before any transform"
    )
    train_transforms: list[BaseTransform] = Field(default=[], description="augmentation of the training images")
    truncated: Literal["warn", "error"] = Field(
        default="warn", description="decode a JPEG that is cut off as far as it goes, with a warning, or refuse it"
    )
    cache_mb: CountOrZero = Field(
        default=2048, description="memory for decoded images; if the data need more, they are decoded anew each epoch"
    )


class Source(NamedTuple):
    """The file of a sample's picture, its box, and its place in the cache."""

    path: Path
    box: Box | None  # box to which the picture is cut; None for the whole picture
    place: int | None  # number of the picture in the cache; None for a picture that is not cached


class Pictures(BasePictures):
    """Whole pictures of one size. A subclass may read them differently, or cut them."""

    def __init__(self, settings: PictureSettings) -> None:
        self.size: Size = settings.image_size
        self.training = Pipeline(settings.train_transforms)
        self.evaluation = Pipeline([], "eval_transforms")
        self.cache_mb, self.truncated = settings.cache_mb, settings.truncated
        self.cut_off: list[str] = []  # files that this process has decoded as far as they go
        self.reserved = False
        self._cache: PictureCache | None = None

    def read(self, path: Path, box: Box | None = None) -> np.ndarray:
        """Return the picture in a file, cut to `box`, before any transform: (h, w, 3) uint8 of `size`. Raises ImageError."""
        return read_image(path, self.size, box, self.damaged(path))

    def damaged(self, path: Path) -> Callable[[str], None]:
        """Return what to do about a file that is cut off: note it, or raise ImageError if `truncated` is `error`."""

        def note(reason: str) -> None:
            if self.truncated == "error":
                raise ImageError(f'{reason}; data_loader.args.truncated="warn" decodes it as far as it goes')
            self.cut_off.append(str(path))

        return note

    def reserve(self, number: int) -> None:
        """Allocate the cache for `number` pictures, if they fit into `cache_mb`. Only the first call counts.

        Call it before workers are forked, so that they share the memory.
        """
        if not self.reserved:
            self.reserved = True
            fits = 0 < number * int(np.prod(self.size)) * 3 <= self.cache_mb * MEGABYTE
            self._cache = PictureCache(number, self.size) if fits else None

    def decoded(self, source: Source) -> np.ndarray:
        """Return a picture like `read`, from the cache if it has a place there. Raises ImageError."""
        path, box, place = source
        if self._cache is None or place is None:
            return self.read(path, box)
        return self._cache.get(place, lambda: self.read(path, box))

    def evaluated(self, picture: np.ndarray) -> np.ndarray:
        """Return a decoded picture after the transforms of evaluation, (h, w, 3) uint8."""
        return self.evaluation(picture, 0)

    def evaluated_size(self) -> Size:
        """Return the height and width of the pictures after the transforms of evaluation."""
        height, width, _ = self.evaluated(np.zeros((*self.size, 3), np.uint8)).shape
        return height, width

    def found(self, image: np.ndarray) -> tuple[Box, str]:
        """Return the box that a picture (H, W, 3) from elsewhere is cut to, here the whole picture, and a note on it."""
        height, width = image.shape[:2]
        return (0, 0, width, height), ""

    def decode(self, content: bytes) -> np.ndarray:
        """Return the picture in a file's bytes at the loader's own size, (h, w, 3) uint8 RGB. Raises ImageError."""
        return decode_image(content, self.size)

    def preprocess(self, image: np.ndarray) -> Prepared:
        """Return a picture (H, W, 3) uint8 RGB prepared for evaluation: cut, resized and transformed.

        Crops of `eval_transforms` are not in the affine: if predictions have coordinates, a subclass needs its own
        `preprocess`.
        """
        box, note = self.found(image)
        picture = self.evaluated(resize(cut(image, box), self.size))
        (x1, y1, x2, y2), (h, w) = box, self.size
        affine = torch.tensor([[(x2 - x1) / w, 0.0, float(x1)], [0.0, (y2 - y1) / h, float(y1)]])
        return Prepared(torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), affine, note)

    def preprocessing(self) -> dict[str, Any]:
        """Return the resizing, the order of the colours, and the transforms of evaluation."""
        return {
            "resize": list(self.size),
            "interpolation": "by areas (OpenCV's INTER_AREA) to under two thirds of the size, else bilinear (INTER_LINEAR)",
            "colours": "RGB",
            "pixels": "uint8, (B, 3, H, W)",
            "transforms": self.evaluation.as_json(),
        }

    def recipe(self) -> list[str]:
        """Return lines of Python that resize `picture` to `image`; a comment names the transforms, which they leave out."""
        height, width = self.size
        left_out = ["# then the transforms above, which are not written here"] if self.evaluation.as_json() else []
        return [
            f"ratios = picture.shape[0] / {height}, picture.shape[1] / {width}",
            "areas = min(ratios) >= 1 and max(ratios) > 1.5",
            "how = cv2.INTER_AREA if areas else cv2.INTER_LINEAR",
            f"image = cv2.resize(picture, ({width}, {height}), interpolation=how)",
            *left_out,
        ]

    def as_json(self) -> dict[str, Any]:
        """Return both pipelines with all their arguments, as a run keeps them."""
        return {"train_transforms": self.training.as_json(), "eval_transforms": self.evaluation.as_json()}
