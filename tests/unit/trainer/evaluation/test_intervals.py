"""Intervals of scores, by drawing groups of samples anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from base.base_metric import BaseMetric
from base.predictions import Predictions
from base.table import SampleTable
from trainer.evaluation.intervals import intervals


class Mean(BaseMetric):
    """The mean of what is predicted, and of those that are known."""

    @property
    def names(self) -> list[str]:
        return ["mean", "mean/known"]

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        values, known = predictions.array("value"), table.numbers("known") > 0
        assert predictions.ids() == table.ids()
        return {"mean": float(values.mean()), **({"mean/known": float(values[known].mean())} if known.any() else {})}


def case(values: np.ndarray, who: list[str] | None = None, known: int = 1) -> tuple[Predictions, SampleTable]:
    ids = [f"{row:05d}" for row in range(len(values))]
    columns = {"id": ids, "path": ids, "known": np.arange(len(values)) < known, **({"who": who} if who else {})}
    columns["known"] = columns["known"].astype(np.int64)
    return Predictions.of(ids, {"value": torch.from_numpy(values)}), SampleTable.from_columns(Path(), columns)


def width(values: np.ndarray, who: list[str] | None = None, group: str | None = None) -> float:
    low, high = intervals(Mean(), *case(values, who), group)["mean"]
    return high - low


def test_alone_the_samples_of_a_mean_give_its_known_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert width(values) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_samples_of_one_group_that_agree_count_as_one() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=100), 4)
    who = [f"p{row // 4}" for row in range(400)]
    assert width(values, who, "who") == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)
    assert width(values, who) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)  # the trap: half as wide as it is


def test_samples_whose_group_is_not_known_are_drawn_alone() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert width(values, [""] * 400, "who") == pytest.approx(width(values), rel=0.1)


def test_a_score_that_a_drawing_does_not_have_is_that_of_the_others() -> None:
    found = intervals(Mean(), *case(np.arange(4.0)), rounds=50)
    assert found["mean/known"] == (0.0, 0.0)  # of the one sample that is known, where it was drawn


def test_the_same_seed_gives_the_same_intervals_and_another_one_others() -> None:
    given = (Mean(), *case(np.random.default_rng(0).normal(size=50)))
    first, second, other = (intervals(*given, rounds=50, seed=seed) for seed in (0, 0, 1))
    assert first == second != other


def test_a_metric_that_takes_no_sample_twice_has_none() -> None:
    class Alone(Mean):
        def resampled(self, predictions: Predictions, table: SampleTable, times: np.ndarray) -> dict[str, np.ndarray]:
            return {}

    assert intervals(Alone(), *case(np.zeros(3))) == {}
