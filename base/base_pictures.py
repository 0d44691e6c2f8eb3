"""From any picture to what the model takes: one preprocessing for validation, test.py, submissions and the app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Prepared(NamedTuple):
    """A picture as the model takes it."""

    image: Tensor  # (3, h, w) uint8 RGB
    affine: Tensor  # (2, 3) float32, from the pixels of `image` to those of the picture that was given
    note: str = ""  # for the person who gave the picture: what it was cut to, if pictures are cut


class BasePictures(ABC):
    """Prepares pictures that need not be of the data, exactly as evaluation prepares the pictures of the data."""

    @abstractmethod
    def decode(self, content: bytes) -> np.ndarray:
        """Return the picture in a file's bytes for `preprocess`, (H, W, 3) uint8 RGB. Raises ValueError with the reason."""

    @abstractmethod
    def preprocess(self, image: np.ndarray) -> Prepared:
        """Return a picture (H, W, 3) uint8 RGB of any size as the model takes it."""

    def preprocessing(self) -> dict[str, Any]:
        """Return what `preprocess` does in plain values, for a program that has to do the same. Reads no file."""
        return {}
