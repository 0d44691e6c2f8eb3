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

from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from inspection.results import Result
from inspection.verification import pairs
from model.verification.pair_metrics import roc


def case(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 12, number) / 10, np.append([True, False], draw.random(number - 2) < 0.5)


@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(-0.2, 1.4))
@settings(max_examples=80, deadline=None)
def test_rates_are_counted_pair_by_pair(seed: int, number: int, threshold: float) -> None:
    scores, same = case(seed, number)
    found = pairs.rates(scores, same, threshold)
    assert found.accuracy == pytest.approx(np.mean((scores >= threshold) == same))
    assert found.far == pytest.approx(np.mean(scores[~same] >= threshold))
    assert found.frr == pytest.approx(np.mean(scores[same] < threshold))


@given(st.integers(0, 10**6), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_every_point_of_the_curve_is_the_rates_at_its_threshold(seed: int, number: int) -> None:
    scores, same = case(seed, number)
    for row in pairs.curve(roc(scores, same)).to_dict("records"):
        found = pairs.rates(scores, same, row["threshold"])
        assert (row["far"], row["frr"]) == (found.far, found.frr)


def test_the_hardest_genuine_pair_has_the_lowest_score() -> None:
    table = pd.DataFrame({"same": [1, 1, 0, 0], "score": [0.2, 0.9, 0.1, 0.7]})
    assert pairs.hardest(table, same=True)["score"].tolist() == [0.2, 0.9]
    assert pairs.hardest(table, same=False)["score"].tolist() == [0.7, 0.1]


def test_a_limit_that_the_pairs_cannot_show_is_left_out() -> None:
    scores, same = np.arange(30) / 30, np.arange(30) >= 15
    table = pairs.at_limits(roc(scores, same), scores, same)
    assert table["limit"].tolist() == [0.1] and table["far"].tolist() == [1 / 15]


def test_alike_is_the_cosine_or_the_nearness() -> None:
    a, b = np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([5.0, 0.0])
    assert pairs.alike(a, b, "cosine").tolist() == [1.0, 0.0]
    assert np.isnan(pairs.alike(np.zeros((1, 2)), b, "cosine")).all()
    assert pairs.alike(a, b, "euclidean").tolist() == pytest.approx([-2.0, -np.sqrt(29)])


def test_pairs_are_scored_as_the_fitted_threshold_compared(tmp_path: Path) -> None:
    ids = ["a", "b"]
    listed = pa.table({"image1": ["a"], "image2": ["b"], "same": pa.array([-1], pa.int8())})
    samples = SampleTable(tmp_path, pa.table({"id": ids, "path": ids}), {"pairs": listed})
    predictions = Predictions.of(ids, {"embedding": torch.tensor([[3.0, 0.0], [0.0, 4.0]])})
    found = {}
    for measure in ("cosine", "euclidean"):
        manifest = Manifest("valid", fitted={"PairScores": {f"threshold/{measure}": 0.5}})
        found[measure] = pairs.read(tmp_path / measure, Result(tmp_path, predictions, manifest, samples))["score"].tolist()
    assert found == {"cosine": [0.0], "euclidean": [-5.0]}


def test_the_map_keeps_the_direction_in_which_embeddings_differ() -> None:
    embeddings = np.array([[0.0, 0, 0], [0, 0, 10], [0, 1, 5], [np.nan] * 3])
    places = pairs.flat(embeddings)
    assert abs(places[0, 0] - places[1, 0]) == pytest.approx(10)
    assert np.isnan(places[3]).all()
