"""Heads that compute logits from features, as alternatives to a plain linear layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from base.registry import Registry

SHORTEST = 1e-6  # shorter vectors are not scaled to length 1: the gradient of a direction is 1 / length


class BaseHead(nn.Module, ABC):
    """The last layer of one label. Call `bind` before the first use: it makes the weights."""

    @property
    def cosine_scale(self) -> float | None:
        """The factor of the cosines if the logits are cosines; None otherwise."""
        return None

    @abstractmethod
    def bind(self, width: int, classes: int) -> BaseHead:
        """Make random weights for features of `width` numbers and `classes` trained classes."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, K) float32. features: (B, width) of any float type."""


HEADS: Registry[BaseHead] = Registry("head", BaseHead)


@HEADS.register("attributes", "pretext")
class CosineHead(BaseHead):
    """Logits that are the cosines between the features and one vector for each class, times a scale, without a bias.

    `loss.args.margins` can widen the angle to the true class in training (Deng et al. 2019; without it the head is
    NormFace, Wang, F. et al. 2017). Computed in float32 whatever `trainer.precision` is.
    """

    weight: Tensor  # (K, width) float32; only the direction of a row counts, not its length

    def __init__(
        self,
        scale: Annotated[float, Field(gt=0, le=1000, description="factor of the cosines, before the softmax")] = 30.0,
    ) -> None:
        super().__init__()
        self.scale = scale

    @property
    def cosine_scale(self) -> float | None:
        """The factor of the cosines."""
        return self.scale

    def bind(self, width: int, classes: int) -> BaseHead:
        """Make weights whose directions are uniform over the sphere."""
        self.weight = nn.Parameter(torch.randn(classes, width) / width**0.5)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return scale * cos, (B, K) float32; 0 for features that are all 0. features: (B, width) of any float type."""
        device = features.device.type
        # Enter the context only if autocast is on: an exported graph cannot hold it.
        lowered = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if lowered else nullcontext():
            points, classes = (functional.normalize(vectors.float(), eps=SHORTEST) for vectors in (features, self.weight))
            return self.scale * functional.linear(points, classes)
