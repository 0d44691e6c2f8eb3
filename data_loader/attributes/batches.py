"""Batches of pictures with attributes, mixed in training if the config says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from base.contracts import SHARE, Batch, RunContext, Target
from data_loader.attributes.samples import AttributeSamples
from data_loader.augment.mixing import BaseMix, Mixed, chosen, shared
from data_loader.batches.batches import Batches, BatchSettings, require_one_size
from data_loader.batches.stream import BatchKey
from data_loader.pictures.pictures import Pictures
from utils.seed import derive, generator


class AttributeBatches(Batches):
    """Batches with a class number per attribute: target {label: (B,) int64, -1 unknown}."""

    samples: AttributeSamples

    def __init__(
        self, context: RunContext, settings: BatchSettings, samples: AttributeSamples, pictures: Pictures, mix: list[BaseMix]
    ) -> None:
        super().__init__(context, settings, samples, pictures)
        self.mix = mix
        self._forget()

    def _forget(self) -> None:
        """Clear the values that were computed from the samples."""
        self._columns: dict[str, dict[str, np.ndarray]] = {}  # split -> label -> (N,): faster than reading rows of Arrow
        self._shown: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))  # an epoch, and the rows in it

    def close(self) -> None:
        """Stop the workers; the next batch starts new ones with the samples of that time."""
        super().close()
        self._forget()

    def order(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of every global training batch of an epoch, (B,) int64 each, with the adopted samples."""
        batches, adopted = super().order(epoch), self.samples.adopted
        return batches if adopted is None else adopted.deal(batches, self.seed, epoch)

    def targets(self, split: str, rows: np.ndarray) -> Target:
        """Return {label: (B,) int64} of the learned labels; with `share` if adopted samples have a weight of their own."""
        if split not in self._columns:
            table = self.samples.table(split)
            self._columns[split] = {name: table.numbers(name) for name in self.samples.learned}
        columns, adopted = self._columns[split], self.samples.adopted
        target: Target = {name: torch.from_numpy(values[rows].astype(np.int64)) for name, values in columns.items()}
        if adopted is not None and adopted.weight != 1 and split == "train":
            target[SHARE] = torch.from_numpy(adopted.shares(rows))
        return target

    def sample(self, key: BatchKey, row: int, draw: int) -> Any:
        """Return the transformed picture, (h, w, 3) uint8; in training with `mix` a `Mixed`. Raises ImageError."""
        picture = super().sample(key, row, draw)
        return self._mixed(key, row, draw, picture) if key.augmented and self.mix else picture

    def collate(self, key: BatchKey, samples: list[Any]) -> Batch:
        """Return a batch; if its samples are mixed, its target has `share` and `partner`."""
        if not (key.augmented and self.mix):
            return super().collate(key, samples)
        pictures, shares, partners = zip(*samples, strict=True)
        batch = super().collate(key, list(pictures))
        batch["target"] = shared(batch["target"], self.targets("train", np.array(partners)), shares)
        return batch

    def _mixed(self, key: BatchKey, row: int, draw: int, picture: np.ndarray) -> Mixed:
        """Mix with a random partner from the rows of the epoch: a function of (seed, epoch, sample id)."""
        assert key.epoch is not None, "only what an epoch shows is mixed"
        seed = self.draw_seed(key, row, draw)
        rng = generator(seed, "mix")
        mix = chosen(self.mix, rng)
        if mix is None:
            return Mixed(picture, 1.0, row)
        if self._shown[0] != key.epoch:
            self._shown = key.epoch, np.concatenate(self.order(key.epoch))
        partner = int(rng.choice(self._shown[1]))
        other = self.pictures.training(self.decoded("train", partner), derive(seed, "partner"))
        require_one_size([picture, other])
        return Mixed(*mix.join(picture, other, rng), partner)
