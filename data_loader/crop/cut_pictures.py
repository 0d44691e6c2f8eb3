"""Pictures that may be cut before they are resized: pictures of the data by a box file, other pictures by the croppers."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from data_loader.augment.transforms import BaseTransform, Pipeline
from data_loader.crop.croppers import BaseCropper, look, names
from data_loader.crop.crops import Crops
from data_loader.pictures.decode import Box, decode_image
from data_loader.pictures.pictures import Pictures, PictureSettings

NO_CROPPERS = "not cut, though the pictures of the data are: the config names no croppers"


class CutPictureSettings(PictureSettings):
    """Config of pictures that may be cut, and are all resized to one size."""

    eval_transforms: list[BaseTransform] = Field(
        default=[], description="transforms of validation, test and app; none may be random"
    )
    crops: Crops | None = Field(
        default=None, description="boxes that every picture is cut to before it is resized; default: pictures stay whole"
    )
    croppers: list[BaseCropper] = Field(
        default=[],
        description="croppers that find a box, in the order in which they are asked: to write the file of boxes, and for "
        "pictures that are not of the data, as in the app",
    )


class CutPictures(Pictures):
    """Pictures of one size, cut before resizing if the config has `crops`."""

    def __init__(self, settings: CutPictureSettings) -> None:
        super().__init__(settings)
        self.evaluation = Pipeline(settings.eval_transforms, "eval_transforms")
        self.crops, self.croppers = settings.crops, settings.croppers

    def found(self, image: np.ndarray) -> tuple[Box, str]:
        """Return the box that a picture from elsewhere is cut to, and a note for the person who gave the picture.

        The box is the whole picture if no cropper finds a box, or if there is no cropper. The note is empty if pictures are
        not cut at all. image: (H, W, 3) uint8 RGB. Raises UserError if a cropper's model cannot be used.
        """
        whole, note = super().found(image)
        if self.crops is None:
            return whole, note
        if not self.croppers:
            return whole, NO_CROPPERS
        seen = look(image, self.croppers, self.crops.min_size)
        if seen.box is None:
            return whole, "not cut: no cropper finds anything in it"
        return self.crops.around(seen.box, (image.shape[0], image.shape[1])), f"cut to what {seen.found_by} finds"

    def decode(self, content: bytes) -> np.ndarray:
        """Return the picture in a file's bytes at the loader's own size, or whole if it is to be cut. Raises ImageError."""
        return super().decode(content) if self.crops is None else decode_image(content)

    def preprocessing(self) -> dict[str, Any]:
        """Return the crops, the resizing, the order of the colours, and the transforms of evaluation."""
        if self.crops is None:
            return super().preprocessing()
        return {"crops": {**self.crops.model_dump(), "croppers": names(self.croppers)}, **super().preprocessing()}
