"""Sampler of batches of P identities with K images each."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from base.base_data_loader import SAMPLERS, BaseSampler
from base.table import SampleTable
from base.types import Count
from base.verification.pairs import IDENTITY
from data_loader.batches.samplers import label_numbers
from utils.errors import UserError
from utils.seed import generator


@SAMPLERS.register()
class IdentitySampler(BaseSampler):
    """Every batch has exactly P different identities and K images of each, for losses that compare samples of a batch.

    In an epoch an identity of n images is shown n / K times (rounded up, at most `most` times), each time with other images
    until all are used. The number of batches is the same in every epoch; the few groups beyond the last whole batch are left
    out, different groups each time. `batch_size` must be P times K.
    """

    def __init__(
        self,
        identities: Annotated[int, Field(ge=2, description="P, identities in a batch")],
        images: Annotated[int, Field(ge=2, description="K, images of each identity in a batch")],
        few: Annotated[
            Literal["repeat", "drop"],
            Field(
                description='what to do with identities of fewer than K images: "repeat" shows some images twice in '
                'a batch, under different augmentation; "drop" leaves the identities out'
            ),
        ] = "repeat",
        most: Annotated[
            Count | None, Field(description="how often an identity may come in an epoch; null for as often as it has images for")
        ] = None,
        label: Annotated[str, Field(description="the label whose classes are the identities")] = IDENTITY,
    ) -> None:
        self.identities, self.images, self.few, self.most, self.label = identities, images, few, most, label

    def batches(self, table: SampleTable, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the rows of each batch, (P * K,) int64, the images of one identity side by side.

        Raises UserError if `batch_size` is not P * K, or if there are too few identities.
        """
        if batch_size != self.identities * self.images:
            wanted = f"{self.identities} identities x {self.images} images = {self.identities * self.images}"
            raise UserError(f"data_loader.args.batch_size: found {batch_size}; its IdentitySampler makes batches of {wanted}")
        labels = label_numbers(table, self.label, "IdentitySampler")
        members = [rows for rows in _by_label(labels) if self.few == "repeat" or len(rows) >= self.images]
        times, number = self._times(np.array([len(rows) for rows in members], np.int64))
        rng = generator(seed, "order", epoch)
        order = rng.permutation(len(members))
        groups = np.concatenate([self._groups(members[who], int(times[who]), rng) for who in order])  # (G, K)
        kept = np.sort(rng.permutation(len(groups))[: number * self.identities])
        # Groups of one identity are neighbours, and there are at most as many as batches: dealt in turn, no batch gets two.
        dealt = groups[kept].reshape(self.identities, number, self.images)
        return [dealt[:, batch].ravel() for batch in rng.permutation(number)]

    def _times(self, counts: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the number of groups of each identity in an epoch, (I,) int64, and the number of batches.

        Both depend on the counts alone. counts: (I,) int64, the number of images of each identity.
        """
        times = np.minimum(-(-counts // self.images), self.most or np.iinfo(np.int64).max)
        while (number := int(times.sum()) // self.identities) < times.max(initial=0) and number:
            times = np.minimum(times, number)
        if not number:
            enough = f" of {self.images} or more images" if self.few == "drop" else ""
            raise UserError(
                f"data_loader.args.sampler.args.identities: found {self.identities}; the training samples have {len(counts)} "
                f"identities{enough}, too few for a batch"
            )
        return times, number

    def _groups(self, rows: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
        """Return images of one identity, (times, K): as many rounds through all of them as necessary, each shuffled anew."""
        wanted = times * self.images
        rounds = [rng.permutation(rows) for _ in range(-(-wanted // len(rows)))]
        return np.concatenate(rounds)[:wanted].reshape(times, self.images)


def _by_label(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each known label, in order of label."""
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
