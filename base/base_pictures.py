"""The base class of preprocessing, from a picture to the model's input: one for validation, test.py, submissions and the app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Prepared(NamedTuple):
    """A picture that is ready for the model."""

    image: Tensor  # (3, h, w) uint8 RGB
    affine: Tensor  # (2, 3) float32, from the pixels of `image` to those of the original picture
    note: str = ""  # a line for the user about the crop, if pictures are cropped


class BasePictures(ABC):
    """The preparation of any pictures, also of pictures outside the data set, exactly as in evaluation."""

    @abstractmethod
    def decode(self, content: bytes) -> np.ndarray:
        """Return the picture in a file's bytes for `preprocess`, (H, W, 3) uint8 RGB. Raises ValueError if there is none."""

    @abstractmethod
    def preprocess(self, image: np.ndarray) -> Prepared:
        """Prepare a picture (H, W, 3) uint8 RGB of any size for the model."""

    def preprocessing(self) -> dict[str, Any]:
        """Return the steps of `preprocess` as plain values, for programs that must do the same. Reads no file."""
        return {}

    def recipe(self) -> list[str]:
        """Return lines of Python with cv2 and numpy that make `image` (h, w, 3) from `picture` (H, W, 3), both uint8 RGB.

        They stand in the card of an exported model, and do what `preprocess` does. Empty if there are no such lines.
        """
        return []
