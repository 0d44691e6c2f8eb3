"""Test which epoch is the best, and when training stops."""

import math

import pytest

from base.monitor import Monitor
from utils.errors import UserError


def improvements(monitor, values):
    return [monitor.update({monitor.name: value}, epoch) for epoch, value in enumerate(values)]


@pytest.mark.parametrize(
    ("text", "expected"), [("min val/loss", [True, False, True, False]), ("max val/loss", [True, True, False, False])]
)
def test_the_best_is_the_smallest_or_the_largest(text, expected):
    assert improvements(Monitor(text), [2.0, 3.0, 1.0, 1.0]) == expected


def test_the_epoch_of_the_best_is_remembered():
    monitor = Monitor("max val/f1")
    improvements(monitor, [0.5, 0.7, 0.6])

    assert (monitor.best, monitor.best_epoch) == (0.7, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_not_finite_is_never_the_best(mode, value):
    monitor = Monitor(f"{mode} val/f1")

    assert improvements(monitor, [value, 0.5, value]) == [False, True, False]
    assert monitor.best == 0.5


def test_patience_counts_validations_without_a_better_one():
    monitor = Monitor("max val/f1", patience=2)
    improvements(monitor, [0.5, 0.4])
    assert not monitor.exhausted
    improvements(monitor, [0.6, 0.5])
    assert not monitor.exhausted
    improvements(monitor, [math.nan])
    assert monitor.exhausted


def test_an_epoch_that_is_not_validated_costs_no_patience():
    monitor = Monitor("max val/f1", patience=1)
    improvements(monitor, [0.5])

    assert monitor.update({"train/loss": 1.0}, 1) is False
    assert not monitor.exhausted


def test_without_a_monitor_every_epoch_is_the_best_and_nothing_stops():
    monitor = Monitor("off", patience=1)

    assert [monitor.update({}, epoch) for epoch in range(3)] == [True] * 3
    assert monitor.best_epoch == 2
    assert not monitor.exhausted


@pytest.mark.parametrize("stop", range(6))
def test_a_restored_monitor_continues(stop):
    values = [0.5, 0.4, 0.6, 0.5, math.nan, 0.4]
    whole, first, second = (Monitor("max val/f1", patience=3) for _ in range(3))
    expected = improvements(whole, values)
    before = improvements(first, values[:stop])
    second.load_state_dict(first.state_dict())

    assert before + [second.update({"val/f1": value}, stop + n) for n, value in enumerate(values[stop:])] == expected
    assert second.state_dict() == whole.state_dict()
    assert second.exhausted == whole.exhausted


def test_an_unknown_score_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match=r'no score is called "val/f2" \(did you mean "val/f1"\?\).*val/accuracy, val/f1'):
        Monitor("max val/f2").require(["val/f1", "val/accuracy"])


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        ([0.3, 0.4, 0.3], None),
        ([0.3], None),
        ([math.nan, 0.4], None),
        ([0.5, 0.5, 0.5], "val/f1 was 0.5000 in all 3 validations"),
        ([0.5, 0.5, 0.4], "val/f1 was best after the first validated epoch: the 2 later ones made nothing better"),
        ([0.5, math.nan], "val/f1 was best after the first validated epoch: the 1 later ones made nothing better"),
        ([math.nan, math.nan], "no epoch has a val/f1 that is a number, so that there is no best checkpoint"),
    ],
)
def test_a_score_that_training_did_not_improve_is_doubted(values, doubt):
    monitor = Monitor("max val/f1")
    for epoch, value in enumerate(values):
        monitor.update({"val/f1": value}, epoch)
        state, monitor = monitor.state_dict(), Monitor("max val/f1")  # a kill after each epoch changes nothing
        monitor.load_state_dict(state)

    assert [line.partition(";")[0].partition(": it")[0] for line in monitor.doubts()] == ([doubt] if doubt else [])
    assert monitor.fruitless is (doubt is not None and doubt.startswith("no epoch"))


def test_a_run_whose_scores_nobody_watches_is_not_doubted():
    monitor = Monitor("off")
    monitor.update({}, 0)

    assert not monitor.doubts() and not monitor.fruitless
