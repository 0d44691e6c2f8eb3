"""Verification from scores, against counting pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from base.predictions import Predictions
from base.table import SampleTable
from inspection.results import Result
from inspection.verification import pairs


def case(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 12, number) / 10, draw.random(number) < 0.5


def accuracy(scores: np.ndarray, same: np.ndarray, threshold: float) -> float:
    return sum((score >= threshold) == one for score, one in zip(scores, same, strict=True)) / len(scores)


@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(-0.2, 1.4))
@settings(max_examples=80, deadline=None)
def test_rates_are_counted_pair_by_pair(seed: int, number: int, threshold: float) -> None:
    scores, same = case(seed, number)
    found = pairs.rates(scores, same, threshold)
    assert found.accuracy == pytest.approx(accuracy(scores, same, threshold))
    if (~same).any():
        assert found.far == pytest.approx(np.mean(scores[~same] >= threshold))
    if same.any():
        assert found.frr == pytest.approx(np.mean(scores[same] < threshold))


@given(st.integers(0, 10**6), st.integers(2, 40))
@settings(max_examples=80, deadline=None)
def test_no_cut_is_better_than_the_best(seed: int, number: int) -> None:
    scores, same = case(seed, number)
    best = accuracy(scores, same, pairs.best_threshold(scores, same))
    cuts = [-1.0, *(scores + 1e-9), *scores]
    assert best == pytest.approx(max(accuracy(scores, same, cut) for cut in cuts))


@given(st.integers(0, 10**6), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_every_point_of_the_curve_is_the_rates_at_its_threshold(seed: int, number: int) -> None:
    scores, same = case(seed, number)
    for row in pairs.curve(scores, same).to_dict("records"):
        found = pairs.rates(scores, same, row["threshold"])
        assert row["accuracy"] == pytest.approx(found.accuracy)
        assert np.isnan(found.far) or row["far"] == pytest.approx(found.far)
        assert np.isnan(found.frr) or row["frr"] == pytest.approx(found.frr)


def test_a_pair_without_a_score_is_never_taken_for_one_person() -> None:
    assert pairs.rates(np.array([np.nan, 0.9]), np.array([True, True]), 0.0).accepted == 1


def test_the_hardest_genuine_pair_has_the_lowest_score() -> None:
    table = pd.DataFrame({"same": [1, 1, 0, 0], "score": [0.2, 0.9, 0.1, 0.7]})
    assert pairs.hardest(table, same=True)["score"].tolist() == [0.2, 0.9]
    assert pairs.hardest(table, same=False)["score"].tolist() == [0.7, 0.1]


def test_alike_is_the_cosine_or_the_nearness() -> None:
    a, b = np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([5.0, 0.0])
    assert pairs.alike(a, b, "cosine").tolist() == [1.0, 0.0]
    assert pairs.alike(a, b, "euclidean").tolist() == pytest.approx([-2.0, -np.sqrt(29)])


def test_pairs_are_scored_as_the_fitted_threshold_compared(tmp_path: Path) -> None:
    ids = ["a", "b"]
    listed = pa.table({"image1": ["a"], "image2": ["b"], "same": pa.array([-1], pa.int8())})
    samples = SampleTable(tmp_path, pa.table({"id": ids, "path": ids}), {"pairs": listed})
    predictions = Predictions.of(ids, {"embedding": torch.tensor([[3.0, 0.0], [0.0, 4.0]])})
    found = {}
    for measure in ("cosine", "euclidean"):
        manifest = {"fitted": {"PairScores": {f"threshold/{measure}": 0.5}}}
        found[measure] = pairs.read(tmp_path / measure, Result(tmp_path, predictions, manifest, samples))["score"].tolist()
    assert found == {"cosine": [0.0], "euclidean": [-5.0]}


def test_the_map_keeps_the_direction_in_which_embeddings_differ() -> None:
    embeddings = np.array([[0.0, 0, 0], [0, 0, 10], [0, 1, 5], [np.nan] * 3])
    places = pairs.flat(embeddings)
    assert abs(places[0, 0] - places[1, 0]) == pytest.approx(10)
    assert np.isnan(places[3]).all()
