"""The batches of an evaluation, decoded and in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from base.base_data_loader import BaseDataLoader
from base.contracts import Batch
from base.table import SampleTable


class Held:
    """Stands for a loader where samples are evaluated: the same batches, without reading a file."""

    def __init__(self, loader: BaseDataLoader, split: str) -> None:
        self.loader, self.batches = loader, list(loader.evaluation(split))
        loader.close()

    def evaluation(self, split: str) -> Iterator[tuple[int, Batch]]:
        """The numbered batches."""
        return iter(self.batches)

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """As the loader's."""
        return self.loader.evaluation_order(split)

    def table(self, split: str) -> SampleTable:
        """As the loader's."""
        return self.loader.table(split)
