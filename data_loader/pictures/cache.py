"""Decoded pictures in memory that worker processes share."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import numpy as np


class PictureCache:
    """Decoded pictures of one size in memory that forked worker processes share; each picture is decoded once in a run."""

    def __init__(self, number: int, size: tuple[int, int]) -> None:
        pixels = int(np.prod((*size, 3)))
        # Anonymous memory is allocated page by page when it is filled, and not limited by /dev/shm (64 MB in many containers).
        self._memory = mmap.mmap(-1, max(1, number * (pixels + 1)))
        self._pixels = np.frombuffer(self._memory, np.uint8, number * pixels).reshape(number, *size, 3)
        self._filled = np.frombuffer(self._memory, np.uint8, number, offset=number * pixels)

    def get(self, index: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a copy of the picture with this number, (H, W, 3) uint8; call `read` at the first request."""
        if self._filled[index]:
            kept: np.ndarray = self._pixels[index].copy()
            return kept
        picture = read()
        self._pixels[index] = picture
        self._filled[index] = 1
        return picture
