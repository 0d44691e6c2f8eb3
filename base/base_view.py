"""The base class of views for test-time augmentation: changes of a batch whose predictions are fused with the plain ones."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from base.registry import Registry


class BaseView(ABC):
    """A change of pictures by a known affine map, so that predicted coordinates can be moved back."""

    @abstractmethod
    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changed pictures, and the affine map back. image: (B, 3, H, W) uint8.

        Returns (B, 3, h, w) uint8, and the affine (2, 3) float32 from its pixels to the pixels of `image`, on the same device;
        pixel i of a row covers the coordinates from i to i + 1. The change of a picture does not depend on the other pictures.
        """


VIEWS: Registry[BaseView] = Registry("view", BaseView)
