"""The order of an epoch is a function of seed, epoch and labels, and every batch of it can be found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from base.base_data_loader import SAMPLERS
from base.table import SampleTable
from data_loader.batches.samplers import BalancedSampler, ShuffleSampler, WeightedSampler, repeats
from utils.errors import UserError


def table(samples, **labels):
    ids = [f"{row:05}" for row in range(samples)]
    return SampleTable.from_columns("/", {"id": ids, "path": ids, **labels})


RARE = np.repeat([0, 1, 2, -1], [8000, 1500, 400, 100]).astype(np.int16)
RARE_TABLE = table(10_000, mask=RARE, gender=np.arange(10_000, dtype=np.int16) % 2)
EVERY = [
    ShuffleSampler(),
    BalancedSampler(["mask"]),
    BalancedSampler(["mask", "gender"], power=0.5),
    WeightedSampler("mask", [1.0, 2.0, 0.0]),
]


def drawn(sampler, epochs=5):
    """How often a sample of each class (0, 1, 2, unknown) is drawn in an epoch, on average."""
    rows = np.concatenate([sampler.order(RARE_TABLE, 0, epoch) for epoch in range(epochs)])
    return np.array([(RARE[rows] == value).sum() for value in (0, 1, 2, -1)]) / epochs


@pytest.mark.parametrize("sampler", EVERY)
def test_the_order_is_a_function_of_seed_and_epoch(sampler):
    first, again = (sampler.order(RARE_TABLE, 3, 7) for _ in range(2))
    assert (first == again).all()
    assert (first != sampler.order(RARE_TABLE, 3, 8)).any()
    assert (first != sampler.order(RARE_TABLE, 4, 7)).any()


@pytest.mark.parametrize("sampler", EVERY)
def test_the_order_does_not_depend_on_other_random_numbers(sampler):
    first = sampler.order(RARE_TABLE, 3, 7)
    np.random.seed(5)
    np.random.random(100)
    assert (first == sampler.order(RARE_TABLE, 3, 7)).all()


@pytest.mark.parametrize("sampler", EVERY)
def test_an_epoch_has_as_many_samples_as_the_table(sampler):
    assert sampler.order(RARE_TABLE, 0, 0).shape == (10_000,)


def test_shuffling_shows_every_sample_once():
    assert sorted(ShuffleSampler().order(RARE_TABLE, 0, 0)) == list(range(10_000))


def test_balancing_makes_all_classes_equally_frequent():
    assert drawn(BalancedSampler(["mask"])) == pytest.approx([2500] * 4, rel=0.05)


def test_balancing_with_power_0_leaves_the_frequencies():
    assert drawn(BalancedSampler(["mask"], power=0.0)) == pytest.approx([8000, 1500, 400, 100], rel=0.15)


def test_balancing_with_power_a_half_takes_square_roots():
    roots = np.sqrt([8000, 1500, 400, 100])
    assert drawn(BalancedSampler(["mask"], power=0.5)) == pytest.approx(10_000 * roots / roots.sum(), rel=0.1)


def test_balancing_over_two_labels_counts_their_combinations():
    rows = BalancedSampler(["mask", "gender"]).order(RARE_TABLE, 0, 0)
    combined = RARE[rows] * 2 + RARE_TABLE.numbers("gender")[rows]
    assert np.unique(combined, return_counts=True)[1] == pytest.approx([1250] * 8, rel=0.15)


def test_weights_are_those_of_one_sample_of_each_class():
    expected = np.array([8000 * 1, 1500 * 4, 0, 100 * 10])
    assert drawn(WeightedSampler("mask", [1.0, 4.0, 0.0], missing=10.0)) == pytest.approx(
        10_000 * expected / expected.sum(), rel=0.1
    )


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (BalancedSampler(["maks"]), r'BalancedSampler: no label maks \(did you mean "mask"\?\); there are: mask, gender'),
        (WeightedSampler("path", [1.0]), "WeightedSampler: no label path; there are: mask, gender"),
        (WeightedSampler("mask", [1.0, 1.0]), "sampler.args.weights: 2 weights; mask has 3 classes"),
        (WeightedSampler("mask", [0.0, 0.0, 0.0], missing=0.0), "every sample has weight 0; give some class of mask more"),
    ],
)
def test_a_sampler_that_does_not_suit_the_labels_is_refused(sampler, message):
    with pytest.raises(UserError, match=message):
        sampler.order(RARE_TABLE, 0, 0)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("BalancedSampler", {"labels": []}),
        ("BalancedSampler", {"labels": ["mask"], "power": 1.5}),
        ("WeightedSampler", {"label": "mask", "weights": []}),
        ("WeightedSampler", {"label": "mask", "weights": [1.0, -1.0]}),
    ],
)
def test_arguments_out_of_range_are_refused_by_the_config(name, args):
    with pytest.raises(ValidationError):
        SAMPLERS.parts[name].model_validate({"type": name, "args": args})


# Batches ------------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(1, 300), batch_size=st.integers(1, 50))
def test_batches_hold_every_row_once_and_differ_by_one_at_most(samples, batch_size):
    batches = ShuffleSampler().batches(table(samples), batch_size, 0, 0)
    sizes = {len(rows) for rows in batches}
    assert sorted(np.concatenate(batches)) == list(range(samples))
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == -(-samples // batch_size)


def test_repeats_count_how_often_a_row_stood_before():
    assert repeats(np.array([4, 2, 4, 4, 9, 2])).tolist() == [0, 0, 1, 2, 0, 1]
    assert repeats(np.array([], dtype=np.int64)).tolist() == []
    assert repeats(np.array([0])).tolist() == [0]
