"""The layers of a detector between its feature pyramid and its outputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FIRST_DISTANCE = 2.0  # strides from a point to each side of its box before training
PRIOR = 0.01  # every score before training: Lin et al. 2017 (RetinaNet), section 4.1


class SharedConv(nn.Module):
    """A 3x3 convolution that all levels share, then a separate batch norm for each level, then SiLU.

    The levels' statistics differ, their tasks do not (Lyu et al. 2022, RTMDet, section 3.2).
    """

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(levels))
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return maps of the same shapes. maps: (B, width, h, w) float of every level."""
        return [nn.functional.silu(norm(self.conv(one)), inplace=True) for one, norm in zip(maps, self.norms, strict=True)]


class DistanceHead(nn.Module):
    """Class logits and distributions of the distances to a box's sides, for every cell of every level."""

    def __init__(self, width: int, classes: int, levels: int, depth: int, bins: int) -> None:
        super().__init__()
        self.class_branch = nn.Sequential(*(SharedConv(width, levels) for _ in range(depth)))
        self.box_branch = nn.Sequential(*(SharedConv(width, levels) for _ in range(depth)))
        self.logits = nn.Conv2d(width, classes, 1)
        self.bins = nn.Conv2d(width, 4 * bins, 1)
        self._initialise(bins)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (B, A, K) and bins (B, A, 4, bins) of the A cells of maps (B, width, h, w), level by level."""
        logits = flatten_levels([self.logits(one) for one in self.class_branch(maps)])
        bins = flatten_levels([self.bins(one) for one in self.box_branch(maps)])
        return logits, bins.unflatten(2, (4, -1))

    @torch.no_grad()
    def _initialise(self, bins: int) -> None:
        """Set weights so that every point starts with scores of PRIOR and distances of about FIRST_DISTANCE for any picture.

        A geometric distribution with ratio r over 0, 1, … has mean r / (1 - r), so r = mean / (1 + mean).
        """
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.bins.weight, std=0.01)
        assert self.logits.bias is not None and self.bins.bias is not None
        self.logits.bias.fill_(-math.log((1 - PRIOR) / PRIOR))
        ratio = FIRST_DISTANCE / (1 + FIRST_DISTANCE)
        self.bins.bias.copy_((torch.arange(bins) * math.log(ratio)).repeat(4))


def flatten_levels(maps: list[Tensor]) -> Tensor:
    """Return maps (B, C, h, w) of several levels as rows (B, A, C), level by level, row by row, cell by cell."""
    return torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1)
