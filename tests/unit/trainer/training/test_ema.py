"""The exponential moving average of a model's weights."""

import copy

import pytest
import torch
from torch import nn

from trainer.training.ema import Ema


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def move(network, seed):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))


def test_the_average_is_that_of_its_formula():
    network = model()
    ema, expected = Ema(network, 0.9), [p.detach().clone() for p in network.parameters()]
    for step in range(20):
        move(network, step)
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected, network.parameters(), strict=True)]

    for average, value in zip(ema.module.parameters(), expected, strict=True):
        assert torch.allclose(average, value, atol=1e-6)


def test_weights_that_stand_still_are_their_average():
    network = model()
    ema = Ema(network, 0.999)
    ema.update(0)

    assert all(torch.equal(a, b) for a, b in zip(ema.module.parameters(), network.parameters(), strict=True))


def test_buffers_are_those_of_the_last_step():
    network = model()
    ema = Ema(network, 0.999)
    network(torch.randn(8, 2))
    ema.update(0)

    assert torch.equal(ema.module[1].running_mean, network[1].running_mean)
    assert ema.module[1].num_batches_tracked == 1


def test_the_model_itself_is_never_changed():
    network = model()
    before = copy.deepcopy(network.state_dict())
    ema = Ema(network, 0.5)
    ema.update(0)

    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_average_is_only_for_evaluation():
    ema = Ema(model(), 0.5)

    assert not any(module.training for module in ema.module.modules())
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())


@pytest.mark.parametrize("stop", range(5))
def test_a_state_goes_on_with_equal_bits(stop):
    whole, first, second = model(), model(), model()
    averages = [Ema(network, 0.9) for network in (whole, first, second)]
    for step in range(5):
        move(whole, step)
        averages[0].update(step)
    for step in range(stop):
        move(first, step)
        averages[1].update(step)
    averages[2].load_state_dict(averages[1].state_dict())
    for step in range(stop, 5):
        move(second, step)
        averages[2].update(step)

    assert all(torch.equal(a, b) for a, b in zip(averages[0].module.parameters(), averages[2].module.parameters(), strict=True))
