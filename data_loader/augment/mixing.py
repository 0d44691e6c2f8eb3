"""MixUp and CutMix: two training pictures are joined into one, and the labels of each count by its share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import torch
from pydantic import Field

from base.contracts import PARTNER, SHARE, Target
from base.registry import Registry
from base.types import Share

MixedShare = Annotated[Share, Field(description="share of the training samples that are mixed in this way")]
Alpha = Annotated[float, Field(gt=0, le=100)]  # of a Beta distribution


class Mixed(NamedTuple):
    """One sample of a batch."""

    picture: np.ndarray  # (h, w, 3) uint8
    share: float  # weight of the sample's own labels, in 0..1; the partner's labels have the rest
    partner: int  # row of the table


class BaseMix(ABC):
    """Base class of the ways to join two pictures."""

    def __init__(self, p: MixedShare = 1.0) -> None:
        self.p = p

    @abstractmethod
    def join(self, picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Return both pictures joined, (h, w, 3) uint8, and the share of the first, in 0..1.

        picture, other: (h, w, 3) uint8, of equal size.
        """


MIXES: Registry[BaseMix] = Registry("mix", BaseMix)


@MIXES.register()
class MixUp(BaseMix):
    """The weighted mean of two pictures (Zhang et al. 2018), rounded to whole numbers; the weight is Beta(alpha, alpha)."""

    def __init__(
        self,
        p: MixedShare = 1.0,
        alpha: Annotated[
            Alpha,
            Field(
                description="near 0 almost all of a mixed picture is of one picture, at 1 every weight is equally "
                "likely; the paper has 0.1 to 0.4 for photographs"
            ),
        ] = 0.2,
    ) -> None:
        super().__init__(p)
        self.alpha = alpha

    def join(self, picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Return share * picture + (1 - share) * other, (h, w, 3) uint8, and the share."""
        share = float(rng.beta(self.alpha, self.alpha))
        return np.asarray(cv2.addWeighted(picture, share, other, 1 - share, 0.0)), share


@MIXES.register()
class CutMix(BaseMix):
    """A rectangle of the picture replaced by the same rectangle of the partner (Yun et al. 2019).

    The rectangle's sides are sqrt(1 - weight) of the picture's sides, with a weight from Beta(alpha, alpha), and its centre is
    anywhere. The share is the area that is not replaced, after the rectangle is cut off at the edges.
    """

    def __init__(
        self,
        p: MixedShare = 1.0,
        alpha: Annotated[
            Alpha,
            Field(
                description="near 0 almost all of a mixed picture is of one picture, at 1, as in the paper, every "
                "weight is equally likely"
            ),
        ] = 1.0,
    ) -> None:
        super().__init__(p)
        self.alpha = alpha

    def join(self, picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Return the picture with a rectangle of the other, (h, w, 3) uint8, and the area share of the picture."""
        side, joined, spans = np.sqrt(1 - rng.beta(self.alpha, self.alpha)), picture.copy(), []
        for length in picture.shape[:2]:
            centre, half = rng.uniform(0, length), length * side / 2
            spans.append(slice(max(0, round(centre - half)), min(length, round(centre + half))))
        joined[spans[0], spans[1]] = other[spans[0], spans[1]]
        replaced = (spans[0].stop - spans[0].start) * (spans[1].stop - spans[1].start)
        return joined, 1 - replaced / (picture.shape[0] * picture.shape[1])


def chosen(mixes: Sequence[BaseMix], rng: np.random.Generator) -> BaseMix | None:
    """Return one of the mixes, each with its probability; None with the remaining probability."""
    draw = rng.random()
    for mix in mixes:
        draw -= mix.p
        if draw < 0:
            return mix
    return None


def shared(own: Target, partners: Target, shares: Sequence[float]) -> Target:
    """Return the target of mixed samples.

    own, partners: leaves (B, …), possibly with `share`. shares: (B,) floats in 0..1, the weight of each sample's own labels.
    """
    share = torch.tensor(shares, dtype=torch.float32)
    partner = {**partners, SHARE: (1 - share) * partners.get(SHARE, 1.0)}
    return {**own, SHARE: share * own.get(SHARE, 1.0), PARTNER: partner}


def wrong_shares(mixes: Sequence[Any]) -> Iterable[tuple[str, str]]:
    """Yield (key, message) if more than all samples would be mixed. mixes: parts of a config."""
    total = sum(mix.args.p for mix in mixes)
    if total > 1 + 1e-9:
        yield "mix", f"found {total:g} as the sum of all p; allowed: at most 1, since each sample is mixed in one way"
