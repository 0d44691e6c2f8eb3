"""Test means over the samples of an epoch."""

import pytest
import torch

from base.meter import Meter

CPU = torch.device("cpu")


def test_means_are_over_samples_and_not_over_batches():
    meter = Meter()
    meter.update({"loss": torch.tensor(1.0)}, 3)
    meter.update({"loss": torch.tensor(5.0)}, 1)

    assert meter.means() == {"loss": 2.0}


def test_a_step_that_was_skipped_does_not_count():
    meter = Meter()
    meter.update({"loss": torch.tensor(1.0)}, 3)
    meter.update({}, 7)

    assert meter.means() == {"loss": 1.0}


def test_without_a_step_there_are_no_means():
    assert Meter().means() == {}


def test_reset_removes_all_values():
    meter = Meter()
    meter.update({"loss": torch.tensor(1.0)}, 3)
    meter.reset()
    meter.update({"loss": torch.tensor(4.0)}, 1)

    assert meter.means() == {"loss": 4.0}


def test_a_million_small_values_are_summed_without_rounding_loss():
    meter = Meter()
    for _ in range(1000):
        meter.update({"loss": torch.tensor(0.1)}, 1000)

    assert meter.means()["loss"] == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


@pytest.mark.parametrize("stop", range(5))
def test_a_restored_meter_continues_with_equal_bits(stop):
    values = [torch.rand((), generator=torch.Generator().manual_seed(n)) for n in range(4)]
    whole, first, second = Meter(), Meter(), Meter()
    for value in values:
        whole.update({"loss": value, "loss/x": value / 3}, 7)
    for value in values[:stop]:
        first.update({"loss": value, "loss/x": value / 3}, 7)
    second.load_state_dict(first.state_dict(), CPU)
    for value in values[stop:]:
        second.update({"loss": value, "loss/x": value / 3}, 7)

    assert second.means() == whole.means()


def test_one_process_restores_the_mean_of_two_processes():
    meter = Meter()
    meter.load_state_dict({"sums": {"loss": torch.tensor([6.0, 2.0], dtype=torch.float64)}, "samples": 4}, CPU)

    assert meter.means() == {"loss": 1.0}
