"""Keep the decoded batches of an evaluation in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from base.base_data_loader import BaseDataLoader
from base.contracts import Batch
from base.table import SampleTable


class Held:
    """A substitute for a loader in evaluation: the same batches from memory."""

    def __init__(self, loader: BaseDataLoader, split: str) -> None:
        self.loader, self.batches = loader, list(loader.evaluation(split))
        loader.close()

    def evaluation(self, split: str) -> Iterator[tuple[int, Batch]]:
        """Return the numbered batches."""
        return iter(self.batches)

    def evaluation_order(self, split: str) -> list[np.ndarray]:
        """Return the loader's order: an array of rows, int64, for each batch."""
        return self.loader.evaluation_order(split)

    def table(self, split: str) -> SampleTable:
        """Return the loader's table of the split."""
        return self.loader.table(split)
