"""The gate: an exported model that says or decides something else is not written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from base.base_metric import BaseMetric
from base.predictions import Predictions
from base.table import SampleTable
from trainer.shipping import parity
from trainer.shipping.parity import Golden, Limits, Parity
from utils.errors import UserError

SHOWN = Golden(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "drawn")
SCORES = torch.tensor([0.1, 0.4, 0.6, 0.9])


class Above(BaseMetric):
    """Whether a score is above the threshold."""

    threshold = 0.0

    @property
    def names(self) -> list[str]:
        return []

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        return {}

    def use(self, fitted: Mapping[str, float]) -> None:
        self.threshold = fitted["threshold"]

    def decisions(self, predictions: Predictions) -> np.ndarray:
        return (predictions.array("score") > self.threshold).astype(np.int64)


def compared(other: Tensor, threshold: float = 0.5) -> Parity:
    fitted = {"Above": {"threshold": threshold}}
    return parity.compare(SHOWN, [SCORES], [other], lambda values: {"score": values[0]}, [Above()], fitted)


def test_the_same_numbers_agree() -> None:
    found = compared(SCORES)
    assert (found.largest, found.decisions, found.changed) == (0, 4, 0)
    found.require(Limits(0, 0), "model")


def test_decisions_are_taken_at_what_was_fitted() -> None:
    moved = SCORES + torch.tensor([0, 0.15, 0, 0])
    assert compared(moved, threshold=0.5).changed == 1
    assert compared(moved, threshold=0.7).changed == 0


def test_a_changed_decision_is_refused_though_the_numbers_are_near() -> None:
    with pytest.raises(UserError, match="model: not written, it disagrees .* 1 of 4 decisions differ"):
        compared(SCORES + torch.tensor([0, 0.15, 0, 0])).require(Limits(0.2, 0.1), "model")


def test_numbers_apart_are_refused_though_the_decisions_are_the_same() -> None:
    with pytest.raises(UserError, match="not written, it disagrees"):
        compared(SCORES + 0.01).require(Limits(1e-3, 0), "model")


@pytest.mark.parametrize("other", [torch.full((4,), torch.nan), torch.zeros(3)], ids=["NaN", "another shape"])
def test_what_is_no_answer_is_refused(other: Tensor) -> None:
    if len(other) == 4:
        with pytest.raises(UserError, match="not written"):
            compared(other).require(Limits(1, 1), "model")
    else:
        assert parity._difference(SCORES, other).isinf().all()


def test_drawn_pictures_are_the_same_each_time() -> None:
    assert torch.equal(parity.drawn((8, 6), 3), parity.drawn((8, 6), 3))
    assert parity.drawn((8, 6), 3).shape == (3, 3, 8, 6)
