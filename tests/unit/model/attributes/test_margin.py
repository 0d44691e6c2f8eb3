"""Margins between angles, against a slow loop in float64 and finite differences, at the extremes too."""

import math

import pytest
import torch
from pydantic import ValidationError

from model.attributes.margin import EDGE, Margin, with_margin
from model.attributes.terms import focal

MARGINS = [
    {"m2": 0.4},
    {"m2": 0.5},
    {"m3": 0.35},
    {"m1": 4.0},
    {"m1": 1.35},
    {"m1": 1.0, "m2": 0.3, "m3": 0.2},
    {"m1": 2.5, "m2": math.pi, "m3": 2.0},
]
COSINES = [-0.99999, -0.999, -0.95, -0.92, -0.5, -0.1, 0.0, 0.3, 0.7, 0.99, 0.9999, 0.99999]
ENDS = [-1.0, -1 - 1e-7, 1.0, 1 + 1e-7]


def slow(cosine, m1=1.0, m2=0.0, m3=0.0):
    """One number: cos(m1 t + m2) - m3, mirrored downwards at each multiple of pi."""
    angle, fallen, sign = m1 * math.acos(cosine) + m2, 0, 1
    while angle >= math.pi * (fallen + 1):
        fallen, sign = fallen + 1, -sign
    return sign * math.cos(angle) - 2 * fallen - m3


def slow_slope(cosine, m1=1.0, m2=0.0, m3=0.0):
    """Its derivative by the cosine."""
    angle = m1 * math.acos(cosine) + m2
    return m1 * abs(math.sin(angle)) / math.sqrt(1 - cosine**2)


def value_and_gradient(cosines, dtype=torch.float64, **margin):
    given = torch.tensor(cosines, dtype=dtype, requires_grad=True)
    found = with_margin(given, **margin)
    found.sum().backward()
    return found.detach(), given.grad


@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_it_is_the_slow_loop(margin):
    found, _ = value_and_gradient(COSINES, **margin)

    assert found.tolist() == pytest.approx([slow(cosine, **margin) for cosine in COSINES], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_its_gradient_is_the_derivative_by_hand(margin):
    _, gradient = value_and_gradient(COSINES, **margin)

    assert gradient.tolist() == pytest.approx([slow_slope(cosine, **margin) for cosine in COSINES], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_its_gradient_is_that_of_finite_differences_at_the_ends_too(margin):
    given = torch.tensor([*COSINES, *ENDS], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda cosine: with_margin(cosine, **margin), given, eps=1e-8, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_value_and_gradient_are_finite_at_the_ends(margin, dtype):
    found, gradient = value_and_gradient(ENDS, dtype, **margin)

    assert found.isfinite().all()
    assert (gradient >= 0).all() and gradient.max() <= margin.get("m1", 1) / math.sqrt(EDGE)


@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_at_the_ends_it_is_nearly_the_formula(margin):
    found, _ = value_and_gradient([-1.0, 1.0], **margin)

    assert found.tolist() == pytest.approx(
        [slow(-1, **margin), slow(1, **margin)], abs=1.5 * margin.get("m1", 1) * math.sqrt(EDGE)
    )


@pytest.mark.parametrize("margin", MARGINS, ids=str)
def test_it_rises_with_the_cosine_without_a_jump(margin):
    cosines = torch.cat([torch.linspace(-1 - 1e-6, 1 + 1e-6, 200_001), 1 - torch.logspace(-9, -2, 1000)]).double().sort().values
    steps = with_margin(cosines, **margin).diff()

    assert (steps >= -1e-12).all()
    assert (steps <= 1.1 * margin.get("m1", 1) * (torch.arccos(cosines.clamp(-1, 1)).diff().abs() + 2e-3)).all()


def test_beyond_pi_it_goes_on_falling():
    beyond, at = with_margin(torch.tensor([math.cos(math.pi - 0.1), math.cos(math.pi - 0.4)]).double(), m2=0.4)

    assert float(at) == pytest.approx(-1)
    assert float(beyond) == pytest.approx(-2 + math.cos(0.3))


def test_a_margin_never_makes_it_easier():
    cosines = torch.linspace(-1, 1, 1001).double()

    for margin in MARGINS:
        assert (with_margin(cosines, **margin) <= cosines + 2e-3).all()


# Logits -------------------------------------------------------------------------------------------------------------


def logits(samples=6, classes=4, scale=30.0):
    cosines = torch.rand(samples, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return scale * cosines


def test_only_the_true_classes_are_moved():
    given, labels = logits(), torch.tensor([0, 1, 2, 3, 0, 1])
    moved = Margin(m2=0.4).apply(given, labels, 30.0)
    true = torch.nn.functional.one_hot(labels, 4).bool()

    assert torch.equal(moved[~true], given[~true])
    assert moved[true].tolist() == pytest.approx([30 * slow(float(value) / 30, m2=0.4) for value in given[true]])


def test_rows_without_a_label_stay_whatever_is_in_them():
    wild = torch.tensor([[math.nan, math.inf, 1.0, -math.inf]], dtype=torch.float64)
    given = torch.cat([logits(), wild]).requires_grad_()
    moved = Margin(m2=0.4).apply(given, torch.tensor([0, -1, 2, -1, 0, 1, -1]), 30.0)
    moved[:6].sum().backward()

    assert torch.equal(moved[1], given[1]) and torch.equal(moved[3], given[3])
    assert torch.equal(moved[6:].nan_to_num(), wild.nan_to_num())
    assert given.grad[:6].isfinite().all() and torch.equal(given.grad[6:], torch.zeros(1, 4, dtype=torch.float64))


def test_one_sample_will_do():
    assert Margin(m3=0.35).apply(logits(1), torch.tensor([2]), 30.0).shape == (1, 4)


def test_no_sample_will_do():
    assert Margin(m3=0.35).apply(logits(0), torch.zeros(0, dtype=torch.int64), 30.0).shape == (0, 4)


def test_the_gradient_through_a_focal_loss_is_that_of_finite_differences():
    labels = torch.tensor([0, 1, -1, 3, 0, 1])
    given = logits()
    given[0, 0], given[1, 1] = 30.0, -30.0

    def loss(values):
        widened = Margin(m1=1.1, m2=0.4, m3=0.1).apply(30 * values, labels, 30.0)
        return focal(widened, labels.clamp_min(0))[labels >= 0].sum()

    assert torch.autograd.gradcheck(loss, (given / 30).requires_grad_(), eps=1e-8, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("values", [{"m1": 0.5}, {"m2": -0.1}, {"m2": 28.6}, {"m3": 3.0}, {"s": 30.0}])
def test_margins_out_of_range_are_refused(values):
    with pytest.raises(ValidationError):
        Margin(**values)


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(ValidationError, match="m1 above 1, m2 above 0 or m3 above 0; without any there is no margin"):
        Margin()
