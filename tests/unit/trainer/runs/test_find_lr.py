"""The learning-rate finder: its ramp, its suggestion on curves that are known, and the command."""

import math

import numpy as np
import pytest
import torch

from trainer.runs.find_lr import EXPLODED, Ramp, Sweep, SweepOver, suggest
from utils.errors import UserError

CPU = torch.device("cpu")


class Trainer:
    """What a sweep asks of a trainer."""

    def __init__(self, groups=(0.1, 0.2)):
        self.optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in groups])


def swept(loss_of, steps=100):
    made, trainer = Sweep(Ramp(1e-6, 1.0, steps), [1.0, 2.0]), Trainer()
    made.on_epoch_start(trainer)
    try:
        while True:
            rate = trainer.optimizer.param_groups[0]["lr"]
            assert trainer.optimizer.param_groups[1]["lr"] == pytest.approx(2 * rate)
            made.on_step(trainer, {"loss": torch.tensor(loss_of(rate))})
    except SweepOver:
        return made


def valley(rate):
    """Falls from 2 to 0.5, most steeply at 1e-3, and explodes from 1e-1 on."""
    return 2 - 1.5 / (1 + math.exp(-4 * (math.log10(rate) + 3))) + 20 * max(0.0, math.log10(rate) + 1) ** 2


def test_the_ramp_is_exponential_and_keeps_the_ratios_of_groups():
    made = swept(lambda rate: 1.0)

    assert (made.rates[0], made.rates[-1]) == (pytest.approx(1e-6), pytest.approx(1.0))
    assert np.allclose(np.diff(np.log(made.rates)), np.log(1e6) / 99)


def test_the_smoothed_loss_has_no_bias_to_zero():
    assert np.allclose(swept(lambda rate: 3.0).smoothed, 3.0)


def test_the_suggestions_are_near_the_steepest_descent_and_a_tenth_of_the_divergence():
    made = swept(valley, steps=400)
    found = suggest(made.rates, made.smoothed, made.diverged, made.ended)

    assert 1e-3 / 2 < found.steepest < 1e-3 * 3
    assert 0.1 / 10 < found.tenth < 0.1
    assert found.tenth == made.diverged / 10
    assert made.ended.startswith(f"the smoothed loss was {EXPLODED:g} times its lowest value at")
    assert len(made.rates) < 400


def test_a_loss_that_is_not_finite_ends_the_sweep_and_is_no_error():
    made = swept(lambda rate: math.inf if rate > 1e-2 else valley(rate))

    assert made.ended.startswith("the loss or its gradient was not finite at 0.01")
    assert all(map(math.isfinite, made.losses))


def test_a_step_that_was_skipped_ends_the_sweep():
    made = Sweep(Ramp(1e-6, 1.0, 100), [1.0, 1.0])
    with pytest.raises(SweepOver):
        made.on_step(Trainer(), {})


def test_a_loss_that_never_fell_suggests_nothing_and_says_so():
    made = swept(lambda rate: 1 + rate)
    found = suggest(made.rates, made.smoothed, made.diverged, made.ended)

    assert (found.steepest, found.tenth) == (None, None)
    assert "the loss did not fall" in found.lines()[-1]


def test_a_sweep_of_no_step_suggests_nothing():
    assert suggest([], [], None, "").steepest is None


def test_a_range_without_divergence_has_no_tenth_of_it():
    made = swept(lambda rate: 1 - math.log10(rate))
    assert suggest(made.rates, made.smoothed, made.diverged, made.ended).tenth is None


@pytest.mark.parametrize(
    ("low", "high", "steps", "message"),
    [
        (1.0, 1e-3, 100, r"--from 1 --to 0\.001: allowed: two rates above 0"),
        (0.0, 1.0, 100, "--from 0 --to 1: allowed"),
        (math.nan, 1.0, 100, "--from nan"),
        (1e-3, math.inf, 100, "--to inf"),
        (1e-3, 1.0, 5, "--steps 5: allowed: at least 20"),
    ],
)
def test_a_range_that_is_none_is_refused_in_one_line(low, high, steps, message):
    with pytest.raises(UserError, match=message) as error:
        Ramp(low, high, steps)
    assert len(str(error.value).splitlines()) == 1
