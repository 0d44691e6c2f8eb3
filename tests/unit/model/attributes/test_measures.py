"""Scores of class probabilities against scikit-learn and slow loops."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics import confusion_matrix

from model.attributes.measures import (
    accuracy,
    calibration_bins,
    calibration_error,
    confusion,
    log_loss,
    losses,
    macro_f1,
)


def case(seed, samples=60, classes=3):
    """Probabilities, and a truth that the most probable class is often right about."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.5), samples)
    return probabilities, np.where(random.random(samples) < 0.6, probabilities.argmax(1), random.integers(0, classes, samples))


@pytest.mark.parametrize("seed", range(200))
def test_macro_f1_is_bit_for_bit_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, random.integers(1, 20), (2, random.integers(1, 300)))
    assert macro_f1(truth, predicted) == metrics.f1_score(truth, predicted, average="macro", zero_division=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_scikit_learn(seed):
    probabilities, truth = case(seed)
    assert log_loss(probabilities, truth) == pytest.approx(metrics.log_loss(truth, probabilities, labels=[0, 1, 2]))


def test_a_true_class_of_probability_0_has_a_finite_loss():
    assert losses(np.array([[0.0, 1.0]]), np.array([0])).tolist() == [pytest.approx(69.0776, abs=1e-4)]


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_lower_macro_f1():
    assert macro_f1(np.array([0, 2]), np.array([0, 2])) == 1.0


def test_accuracy_is_the_share_that_is_right():
    assert accuracy(np.array([0, 1, 2, 0]), np.array([0, 1, 1, 1])) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_confusion_matrix_is_that_of_scikit_learn(seed):
    truth, predicted = np.random.default_rng(seed).integers(0, 3, (2, 60))
    assert np.array_equal(confusion(truth, predicted, 3), confusion_matrix(truth, predicted, labels=range(3)))


def test_a_confusion_matrix_of_no_samples_is_zero():
    assert confusion(np.array([], int), np.array([], int), 2).tolist() == [[0, 0], [0, 0]]


def test_the_calibration_error_is_the_slow_loop():
    (probabilities, truth), total = case(0, 300), 0.0
    for low in range(15):
        rows = [r for r in range(300) if low / 15 <= probabilities[r].max() < (low + 1) / 15]
        if rows:
            right = np.mean([probabilities[r].argmax() == truth[r] for r in rows])
            total += len(rows) / 300 * abs(right - np.mean([probabilities[r].max() for r in rows]))

    assert calibration_error(probabilities, truth) == pytest.approx(total)


@pytest.mark.parametrize("seed", range(3))
def test_the_calibration_error_follows_from_the_bins(seed):
    probabilities, truth = case(seed)
    bins = calibration_bins(probabilities, truth)
    apart = np.abs(bins.confidence - bins.accuracy)
    assert np.average(apart, weights=bins.samples) == pytest.approx(calibration_error(probabilities, truth))


def test_a_probability_of_one_is_in_the_last_bin():
    bins = calibration_bins(np.array([[1.0, 0.0]]), np.array([0]))
    assert (bins.low.tolist(), bins.high.tolist()) == ([14 / 15], [1.0])
