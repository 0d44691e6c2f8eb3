"""The base class of fusions, which join predictions of the same samples: by several views of a picture or several models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from base.predictions import Predictions
from base.registry import Checked, Registry


class BaseFusion(Checked, ABC):
    """A rule that joins several Predictions row by row."""

    @abstractmethod
    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return the joined predictions, one row for each sample; a sample with an error in one of `several` has an error.

        several: predictions of the same samples in the same order. weights: one for each of them, not negative and not all 0;
        equal by default. Raises UserError if samples or columns differ.
        """


FUSIONS: Registry[BaseFusion] = Registry("fusion", BaseFusion)
