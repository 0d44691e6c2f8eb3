"""What makes logits of features, where a plain linear layer will not do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from base.registry import Registry

SHORTEST = 1e-6  # vectors below this length are not brought to 1: the gradient of a direction is 1 / length


class BaseHead(nn.Module, ABC):
    """The last layer of one label. `bind` makes its weights, before its first use."""

    @property
    def cosine_scale(self) -> float | None:
        """The factor of the cosines that its logits are; None where they are none."""
        return None

    @abstractmethod
    def bind(self, width: int, classes: int) -> BaseHead:
        """Make the weights for features of `width` numbers and so many trained classes, random."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) float32. features: (B, width) of any float type."""


HEADS: Registry[BaseHead] = Registry("head", BaseHead)


@HEADS.register("attributes", "pretext")
class CosineHead(BaseHead):
    """Logits that are cosines of the angles between the features and a vector for each class, times a scale, without a bias.

    `loss.args.margins` can widen the angle to the true class in training (Deng et al. 2019; without it the head is
    NormFace, Wang, F. et al. 2017). Computed in float32 whatever `trainer.precision` is.

    Args:
        scale: of the cosines, before the softmax
    """

    weight: Tensor  # (K, width) float32; its length means nothing

    def __init__(self, scale: Annotated[float, Field(gt=0, le=1000)] = 30.0) -> None:
        super().__init__()
        self.scale = scale

    @property
    def cosine_scale(self) -> float | None:
        """The scale."""
        return self.scale

    def bind(self, width: int, classes: int) -> BaseHead:
        """Directions that are uniform over the sphere."""
        self.weight = nn.Parameter(torch.randn(classes, width) / width**0.5)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """scale * cos, (B, K) float32; 0 for features that are all 0."""
        device = features.device.type
        # Only where it is on: an exported graph has no place for the context.
        with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
            points, classes = (functional.normalize(vectors.float(), eps=SHORTEST) for vectors in (features, self.weight))
            return self.scale * functional.linear(points, classes)
