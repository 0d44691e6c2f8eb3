"""Margins between angles for the true class, for heads whose logits are cosines."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor

from utils.validate import Settings

# Above 1 - EDGE the tangent replaces the function: the slope of a margin on the angle is infinite at a cosine of 1.
# So the slope is at most m1 / sqrt(2 EDGE), and the value at 1 is off by less than 1.5 m1 sqrt(EDGE).
EDGE = 1e-6


class Margin(Settings):
    """Increase the angle t to the true class in training: its cosine becomes cos(m1 t + m2) - m3.

    ArcFace is m2 (Deng et al. 2019, equation 3), CosFace m3 (Wang, H. et al. 2018, equation 4); m1, m2 and m3 together are the
    combined margin (Deng et al. 2019, equation 4). Validation uses the plain cosines.
    """

    m1: Annotated[float, Field(ge=1, le=8)] = Field(default=1.0, description="factor of the angle")
    m2: Annotated[float, Field(ge=0, le=math.pi)] = Field(default=0.0, description="added to the angle, in radians")
    m3: Annotated[float, Field(ge=0, le=2)] = Field(default=0.0, description="taken off the cosine")

    @model_validator(mode="after")
    def _does_something(self) -> Margin:
        if (self.m1, self.m2, self.m3) == (1, 0, 0):
            raise ValueError("m1 above 1, m2 above 0 or m3 above 0; without any there is no margin")
        return self

    def apply(self, logits: Tensor, labels: Tensor, scale: float) -> Tensor:
        """Return the logits (N, K) with the margin at the labels; rows whose label is -1 stay as they are.

        logits: (N, K) float, cosines times `scale`. labels: (N,) int64.
        """
        known, place = (labels >= 0)[:, None], labels.clamp_min(0)[:, None]
        own = logits.gather(1, place)
        widened = scale * with_margin((own / scale).where(known, 0.0), self.m1, self.m2, self.m3)
        return logits.scatter(1, place, widened.where(known, own))


def with_margin(cosine: Tensor, m1: float = 1.0, m2: float = 0.0, m3: float = 0.0) -> Tensor:
    """Return cos(m1 arccos(cosine) + m2) - m3, of the same shape, with its exact gradient; finite everywhere.

    Beyond an angle of pi the cosine would rise again; instead the value keeps falling, as (-1)^k cos(a) - 2k with k = floor(a
    / pi) (Liu et al. 2017, equation 7; there a = m1 t): continuous and smooth. Within EDGE of a cosine of 1 or -1, and beyond
    them because of rounding, the value is that of the tangent at the edge.
    """
    inner = cosine.clamp(-1 + EDGE, 1 - EDGE)
    angle = m1 * inner.arccos() + m2
    turns = (angle.detach() / math.pi).floor()
    value = (1 - 2 * (turns % 2)) * angle.cos() - 2 * turns - m3
    slope = m1 * angle.sin().abs() / (1 - inner.square()).sqrt()
    return torch.addcmul(value, slope.detach(), cosine - inner)
