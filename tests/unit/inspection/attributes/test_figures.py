"""Figures over class probabilities, against scikit-learn and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from inspection.attributes import figures as attributes


def case(seed: int, samples: int = 60, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    raw = draw.random((samples, classes))
    return raw / raw.sum(axis=1, keepdims=True), draw.integers(0, classes, samples)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_scikit_learn(seed: int, samples: int, classes: int) -> None:
    probabilities, truth = case(seed, samples, classes)
    found, answer = attributes.figures(probabilities, truth, probabilities.argmax(axis=1)), probabilities.argmax(axis=1)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, answer))
    assert found.f1 == pytest.approx(metrics.f1_score(truth, answer, average="macro", zero_division=0))
    assert found.loss == pytest.approx(metrics.log_loss(truth, probabilities, labels=range(classes)))
    assert (attributes.confusion(truth, answer, classes) == metrics.confusion_matrix(truth, answer, labels=range(classes))).all()


def test_unknown_truth_and_pictures_without_prediction_do_not_count() -> None:
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    found = attributes.figures(probabilities, np.array([0, 1, -1]), attributes.predicted(probabilities))
    assert (found.samples, found.wrong, found.accuracy) == (1, 0, 1.0)
    assert attributes.predicted(probabilities).tolist() == [0, -1, 1]


def test_no_known_sample_gives_no_figures() -> None:
    assert np.isnan(attributes.figures(np.array([[0.5, 0.5]]), np.array([-1]), np.array([0])).accuracy)


def test_the_margin_is_the_lead_over_the_second() -> None:
    assert attributes.margin(np.array([[0.5, 0.2, 0.3]])) == pytest.approx([0.2])


def test_the_largest_loss_comes_first_and_what_has_none_last() -> None:
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [np.nan, np.nan], [0.5, 0.5]])
    order = attributes.ordered(np.arange(4), "largest loss", probabilities, np.zeros(4, int))
    assert order.tolist() == [1, 3, 0, 2]


def test_calibration_bins_hold_mean_confidence_and_accuracy_of_known_samples() -> None:
    probabilities = np.array([[0.61, 0.39], [0.65, 0.35], [0.95, 0.05], [0.7, 0.3], [np.nan, np.nan]])
    table = attributes.calibration(probabilities, np.array([0, 1, 0, -1, 0]))
    assert table["samples"].tolist() == [2, 1]
    assert table["confidence"].tolist() == pytest.approx([0.63, 0.95])
    assert table["accuracy"].tolist() == pytest.approx([0.5, 1.0])


def test_the_interval_is_wilsons() -> None:
    low, high = attributes.wilson(np.array([8]), np.array([10]))
    assert (low[0], high[0]) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe 1998, method 3, of 8 in 10


def test_the_slice_that_is_surely_bad_comes_before_the_one_that_is_small() -> None:
    column = np.array(["large"] * 200 + ["small"] * 2)
    truth = np.zeros(202, int)
    answer = np.array([1] * 100 + [0] * 100 + [1, 1])
    table = attributes.slices({"size": column}, truth, answer)
    assert table["value"].tolist() == ["large", "small"]
    assert table["wrong"].tolist() == [100, 2]
    assert attributes.slices({"size": column}, truth, answer, least=3)["value"].tolist() == ["large"]
