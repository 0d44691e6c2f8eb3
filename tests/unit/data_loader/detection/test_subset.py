"""A balanced subset is what a slow reading of its rules gives; a part of an epoch is another one each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from base.detection.objects import class_counts
from data_loader.batches.samplers import ShuffleSampler
from data_loader.detection import subset
from data_loader.detection.subset import Rule
from tests.detection.objects_folder import NAMES, make_table

BOX = [1.0, 1.0, 2.0, 2.0]


def table_of(*pictures):
    return make_table(Path(), {f"{row:04}.jpg": (9, 9, [(name, BOX) for name in names]) for row, names in enumerate(pictures)})


def slowly(pictures, rules):
    """Rule by rule, picture by picture."""
    kept = set()
    for rule in rules:
        fitting = 0
        for row, names in enumerate(pictures):
            if (rule.any and set(rule.any) & set(names)) or (rule.all and set(rule.all) <= set(names)):
                if fitting % rule.keep_every == 0:
                    kept.add(row)
                fitting += 1
    return sorted(kept)


rule = st.builds(
    lambda kind, names, every: Rule.model_validate({kind: names, "keep_every": every}),
    st.sampled_from(["any", "all"]), st.lists(st.sampled_from(NAMES), min_size=1), st.integers(1, 4),
)  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=4), min_size=1, max_size=30), st.lists(rule, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_subset_is_what_a_slow_reading_of_the_rules_gives(pictures, rules):
    table = table_of(*pictures)
    kept = subset.chosen(table, rules, NAMES)
    assert kept.tolist() == slowly(pictures, rules)
    counts = Counter(name for row in kept for name in pictures[row])
    assert class_counts(table.take(kept), NAMES) == [counts[name] for name in NAMES]


def test_the_report_counts_before_and_after():
    table = table_of(["phone"], ["cigar", "cigar"], [])
    kept = table.take(subset.chosen(table, [Rule(any=["cigar"])], NAMES))
    line = 'subset: 3 -> 1 training samples; objects: phone 1 -> 0, cigar 2 -> 2, a "b" & <c> 0 -> 0'
    assert subset.report(table, kept, NAMES) == [line]


@pytest.mark.parametrize("values", [{}, {"any": ["a"], "all": ["b"]}, {"any": []}, {"any": ["a"], "keep_every": 0}])
def test_a_rule_has_either_any_or_all(values):
    with pytest.raises(ValidationError):
        Rule.model_validate(values)


def test_a_class_that_is_none_is_named_with_the_nearest():
    found = subset.unknown_classes([Rule(any=["phone"]), Rule(all=["cigarr"])], NAMES)
    assert found == [(1, f'no class cigarr (did you mean "cigar"?); there are: {", ".join(NAMES)}')]


@given(st.integers(1, 50), st.floats(0.01, 1), st.integers(0, 5))
@settings(deadline=None)
def test_every_sample_is_shown_before_any_is_shown_again(samples, fraction, seed):
    table, sampler = table_of(*[[]] * samples), ShuffleSampler(fraction)
    epochs = [sampler.order(table, seed, epoch) for epoch in range(150)]
    assert {len(rows) for rows in epochs} == {max(1, round(fraction * samples))}
    shown = np.concatenate(epochs)
    whole = shown[: len(shown) // samples * samples].reshape(-1, samples)
    assert (np.sort(whole, axis=1) == np.arange(samples)).all()


def test_a_part_of_an_epoch_depends_on_seed_and_epoch_alone():
    table, sampler = table_of(*[[]] * 100), ShuffleSampler(0.066)
    assert sampler.order(table, 1, 20).tolist() == ShuffleSampler(0.066).order(table, 1, 20).tolist()
    assert sampler.order(table, 1, 20).tolist() != sampler.order(table, 2, 20).tolist()
    assert sampler.order(table, 1, 20).tolist() != sampler.order(table, 1, 21).tolist()


def test_a_whole_epoch_is_the_permutation_it_always_was():
    from utils.seed import generator

    table = table_of(*[[]] * 100)
    assert ShuffleSampler().order(table, 3, 4).tolist() == generator(3, "order", 4).permutation(100).tolist()
