"""Several predictions of the same samples made one: of views of a picture, and of checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from base.predictions import Predictions
from base.registry import Checked, Registry


class BaseFusion(Checked, ABC):
    """Joins Predictions row by row."""

    @abstractmethod
    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """One row for each sample. several: of the same samples in the same order; an error in one is an error in all.

        weights: how much each counts, not negative and not all 0; equally by default. Raises UserError where samples or
        columns differ.
        """


FUSIONS: Registry[BaseFusion] = Registry("fusion", BaseFusion)
