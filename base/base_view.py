"""Test-time augmentation: another look at a batch, whose predictions are fused with those of the plain pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from base.registry import Registry


class BaseView(ABC):
    """Changes pictures in a way that is known exactly, so that what is predicted for them can be moved back."""

    @abstractmethod
    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The pictures as this view shows them. image: (B, 3, H, W) uint8.

        Returns (B, 3, h, w) uint8, and the affine (2, 3) float32 from its pixels to those of `image`, on its device;
        pixel i of a row covers the coordinates from i to i + 1. A picture's view does not depend on the others'.
        """


VIEWS: Registry[BaseView] = Registry("view", BaseView)
