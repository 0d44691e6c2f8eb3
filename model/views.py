"""The views that test-time augmentation can show a model."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from base.base_view import VIEWS, BaseView
from base.types import Multiple

Offset = Annotated[int, Field(ge=-512, le=512)]


@VIEWS.register()
class FlipView(BaseView):
    """The mirror image, left and right exchanged."""

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange left and right: x' = W - x."""
        return image.flip(3), _affine(image, (-1.0, float(image.shape[3])), (1.0, 0.0))


@VIEWS.register()
class ScaleView(BaseView):
    """The pictures enlarged or reduced (bilinear), for networks that take any size."""

    def __init__(
        self,
        scale: Annotated[float, Field(gt=0, le=8, description="factor of height and width")],
        multiple_of: Annotated[
            Multiple,
            Field(
                description="height and width are rounded to a multiple of this number of pixels, as networks with "
                "strides may need"
            ),
        ] = 1,
    ) -> None:
        self.scale, self.multiple_of = scale, multiple_of

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Resize the pictures: x' = x W / w, y' = y H / h, with the rounded sides w and h."""
        height, width = image.shape[2:]
        size = self._scaled(height), self._scaled(width)
        scaled = functional.interpolate(image.float(), size, mode="bilinear", antialias=True, align_corners=False)
        return scaled.round().clamp(0, 255).to(torch.uint8), _affine(image, (width / size[1], 0.0), (height / size[0], 0.0))

    def _scaled(self, side: int) -> int:
        return max(1, round(side * self.scale / self.multiple_of)) * self.multiple_of


@VIEWS.register()
class ShiftView(BaseView):
    """The pictures shifted; their edge pixels fill the empty area."""

    def __init__(
        self,
        right: Annotated[Offset, Field(description="pixels to the right; negative numbers shift to the left")] = 0,
        down: Annotated[Offset, Field(description="pixels down; negative numbers shift up")] = 0,
    ) -> None:
        self.right, self.down = right, down

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Shift the pictures: x' = x - right, y' = y - down."""
        height, width = image.shape[2:]
        rows = (torch.arange(height, device=image.device) - self.down).clamp(0, height - 1)
        columns = (torch.arange(width, device=image.device) - self.right).clamp(0, width - 1)
        moved = image[:, :, rows[:, None], columns]
        return moved, _affine(image, (1.0, -float(self.right)), (1.0, -float(self.down)))


def _affine(image: Tensor, x: tuple[float, float], y: tuple[float, float]) -> Tensor:
    """Return the matrix (2, 3) float32 of x' = x[0] x + x[1], y' = y[0] y + y[1] on the device of `image`."""
    return torch.tensor([[x[0], 0.0, x[1]], [0.0, y[0], y[1]]], device=image.device)
