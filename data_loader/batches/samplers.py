"""Samplers: the order of an epoch as a function of (seed, epoch) and the labels."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from base.base_data_loader import SAMPLERS, OrderSampler
from base.table import SampleTable
from base.types import Names, NotNegative, Share, SomeShare
from utils.config import did_you_mean
from utils.errors import UserError
from utils.seed import generator


@SAMPLERS.register()
class ShuffleSampler(OrderSampler):
    """Every sample once, shuffled anew each epoch; or a share of the samples, another one each epoch.

    The shares are cut from one permutation after another, so that every sample is shown before any is shown again: with
    independent draws of a fifteenth each, 36 % of the samples would not have been shown after fifteen epochs.
    """

    def __init__(
        self,
        epoch_fraction: Annotated[SomeShare, Field(description="share of the samples that an epoch shows")] = 1.0,
    ) -> None:
        self.epoch_fraction = epoch_fraction

    def order(self, table: SampleTable, seed: int, epoch: int) -> np.ndarray:
        """Return the next rows of an endless sequence of permutations, (n,) int64; with a share of 1, one permutation."""
        samples = len(table)
        size = max(1, round(self.epoch_fraction * samples))
        first, last = epoch * size // samples, ((epoch + 1) * size - 1) // samples
        rows = np.concatenate([generator(seed, "order", turn).permutation(samples) for turn in range(first, last + 1)])
        start = epoch * size - first * samples
        return rows[start : start + size]


@SAMPLERS.register()
class BalancedSampler(OrderSampler):
    """As many draws as samples; rare combinations of classes are drawn more often than their share.

    A sample is drawn with probability proportional to count(its combination) ** -power, with replacement.
    """

    def __init__(
        self,
        labels: Annotated[Names, Field(description="the labels whose combinations are balanced")],
        power: Annotated[
            Share, Field(description="0 leaves the frequencies as they are, 1 makes all combinations equally frequent")
        ] = 1.0,
    ) -> None:
        self.labels, self.power = labels, power

    def order(self, table: SampleTable, seed: int, epoch: int) -> np.ndarray:
        """Return rows drawn with replacement, (N,) int64. Raises UserError if the samples lack a label."""
        columns = np.stack([label_numbers(table, label, "BalancedSampler") for label in self.labels], axis=1)
        combination, counts = np.unique(columns, axis=0, return_inverse=True, return_counts=True)[1:]
        return _draw(counts[combination.ravel()] ** -float(self.power), seed, epoch)


@SAMPLERS.register()
class WeightedSampler(OrderSampler):
    """As many draws as samples, with given weights for the classes of one label."""

    def __init__(
        self,
        label: Annotated[str, Field(description="the label whose classes are weighted")],
        weights: Annotated[
            list[NotNegative],
            Field(min_length=1, description="relative frequency of a sample of each class, in the order of the classes"),
        ],
        missing: Annotated[NotNegative, Field(description="relative frequency of a sample whose class is not known")] = 1.0,
    ) -> None:
        self.label, self.weights, self.missing = label, weights, missing

    def order(self, table: SampleTable, seed: int, epoch: int) -> np.ndarray:
        """Return rows drawn with replacement, (N,) int64.

        Raises UserError if the samples lack the label, if there are more classes than weights, or if all weights are 0.
        """
        values = label_numbers(table, self.label, "WeightedSampler")
        if values.max(initial=-1) >= len(self.weights):
            raise UserError(f"sampler.args.weights: {len(self.weights)} weights; {self.label} has {values.max() + 1} classes")
        weights = np.asarray([*self.weights, self.missing])[values]
        if not weights.sum():
            raise UserError(f"sampler.args.weights: every sample has weight 0; give some class of {self.label} more")
        return _draw(weights, seed, epoch)


def _draw(weights: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    return generator(seed, "order", epoch).choice(len(weights), size=len(weights), p=weights / weights.sum())


def label_numbers(table: SampleTable, name: str, sampler: str) -> np.ndarray:
    """Return the classes of a label, (N,) integers. Raises UserError that names the sampler if the samples lack the label."""
    if name not in table.names or table.columns[name].type == "string":
        labels = [n for n in table.names if table.columns[n].type != "string"]
        raise UserError(f"{sampler}: no label {name}{did_you_mean(name, labels)}; there are: {', '.join(labels)}")
    return table.numbers(name)


def repeats(rows: np.ndarray) -> np.ndarray:
    """Return for each place of an order how often its row stands before that place, (N,) int64; all 0 if no row is repeated.

    rows: (N,) integers.
    """
    by_row = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[by_row], prepend=-1))  # index in `by_row` at which each row's places begin
    before = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    counts = np.empty_like(before)
    counts[by_row] = before
    return counts
