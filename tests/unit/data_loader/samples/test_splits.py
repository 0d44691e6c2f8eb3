"""A person is on one side only, every sample on exactly one, and whatever cannot be is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from base.contracts import DataSpec
from base.table import SampleTable
from data_loader.samples import duplicates, splits
from data_loader.samples.splits import Split, split_rows
from utils.errors import UserError


def table(people, root="/data", **labels):
    ids = [f"{row:05}.jpg" for row in range(len(people))]
    return SampleTable.from_columns(root, {"id": ids, "path": ids, "person": [str(p) for p in people], **labels})


def random_table(seed, samples, people, classes):
    random = np.random.default_rng(seed)
    of_person = random.integers(0, classes, people)
    who = random.integers(0, people, samples)
    return table(who, label=of_person[who].astype(np.int16), shot=random.integers(-1, 3, samples).astype(np.int16))


def sides(found, split):
    return tuple([found.id(int(row)) for row in rows] for rows in split_rows(found, split))


tables = st.builds(random_table, st.integers(0, 10**6), st.integers(40, 200), st.integers(12, 40), st.integers(2, 6))
kinds = st.one_of(
    st.fixed_dictionaries({"folds": st.integers(2, 6), "fold": st.integers(0, 1)}),
    st.fixed_dictionaries({"valid": st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.33, 0.5, 0.9])}),
)


# What always holds --------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    found=tables,
    kind=kinds,
    group=st.sampled_from([None, "person"]),
    stratify=st.sampled_from([[], ["label"], ["label", "shot"]]),
)
def test_every_sample_is_on_one_side_and_every_person_too(found, kind, group, stratify):
    train, valid = split_rows(found, Split(group=group, stratify=stratify, **kind))
    assert sorted([*train, *valid]) == list(range(len(found)))
    assert len(train) and len(valid)
    people = found.strings("person")
    if group:
        assert not {people[row] for row in train} & {people[row] for row in valid}


@settings(max_examples=40, deadline=None)
@given(found=tables, folds=st.integers(2, 6), group=st.sampled_from([None, "person"]))
def test_the_folds_hold_out_every_sample_exactly_once(found, folds, group):
    held_out = [split_rows(found, Split(group=group, stratify=["label"], folds=folds, fold=fold))[1] for fold in range(folds)]
    assert sorted(np.concatenate(held_out)) == list(range(len(found)))


def rare_table(seed, samples, people, classes):
    """Many classes, most of them of one or two people; some people have most of the samples."""
    random = np.random.default_rng(seed)
    who = np.concatenate([np.arange(people), random.integers(0, people, samples) * random.integers(0, 2, samples)])
    of_person = np.minimum(random.geometric(0.5, people) - 1 + random.integers(0, classes, people), classes - 1)
    return table(who, label=of_person[who].astype(np.int16), shot=random.integers(-1, classes, len(who)).astype(np.int16))


@settings(max_examples=200, deadline=None)
@given(
    found=st.builds(rare_table, st.integers(0, 10**6), st.integers(0, 60), st.integers(6, 30), st.integers(2, 20)),
    folds=st.integers(2, 6),
    stratify=st.sampled_from([[], ["label"], ["label", "shot"]]),
)
def test_over_all_folds_with_too_few_members_of_a_class_everybody_is_held_out_once_and_never_trained_on_meanwhile(
    found, folds, stratify
):
    people = np.array(found.strings("person"))
    held_out = []
    for fold in range(folds):
        train, valid = split_rows(found, Split(group="person", stratify=stratify, folds=folds, fold=fold))
        assert sorted([*train, *valid]) == list(range(len(found)))
        assert not set(people[train]) & set(people[valid])
        held_out.append(valid)
    assert sorted(np.concatenate(held_out)) == list(range(len(found)))


@settings(max_examples=40, deadline=None)
@given(found=tables, kind=kinds, group=st.sampled_from([None, "person"]), seed=st.integers(0, 99))
def test_the_split_does_not_depend_on_the_order_of_rows(found, kind, group, seed):
    split = Split(group=group, stratify=["label"], **kind)
    shuffled = found.take(np.random.default_rng(seed).permutation(len(found)))
    train, valid = sides(found, split)
    again, held_out = sides(shuffled, split)
    assert set(valid) == set(held_out)
    assert splits.split_hash(train, valid) == splits.split_hash(again, held_out)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    found = random_table(1, 300, 60, 3)
    first, again, other = (sides(found, Split(group="person", valid=0.2, seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert splits.split_hash(*first) != splits.split_hash(*other)


@pytest.mark.parametrize("group", [None, "person"])
def test_both_sides_have_nearly_the_same_shares_of_classes(group):
    found = random_table(2, 2000, 400, 4)
    for fold in range(5):
        train, valid = split_rows(found, Split(group=group, stratify=["label"], folds=5, fold=fold))
        shares = [np.bincount(found.numbers("label")[rows], minlength=4) / len(rows) for rows in (train, valid)]
        assert np.abs(shares[0] - shares[1]).max() < 0.03


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.25, 1 / 3, 0.5])
def test_about_the_wanted_share_is_held_out(share):
    found = random_table(3, 2000, 400, 4)
    assert len(split_rows(found, Split(group="person", valid=share))[1]) / 2000 == pytest.approx(share, abs=0.02)


def test_something_is_left_to_train_on_whatever_the_share():
    train, valid = split_rows(table([1, 1, 2, 2]), Split(group="person", valid=0.9))
    assert len(train) == len(valid) == 2


def test_many_samples_that_are_all_different_people_are_split_in_no_time():
    found = random_table(4, 100_000, 10, 4)
    assert len(split_rows(found, Split(stratify=["label"], folds=5))[1]) == 20_000


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "settings", "message"),
    [
        ([1, 1, 2, 3], {"group": "person", "folds": 5}, "split: 5 folds need at least 5 different values of person; there are 3"),
        ([1, 2, 3], {"folds": 4}, "split: 4 folds need at least 4 samples; there are 3"),
        (
            [1, 1, 1],
            {"group": "person", "valid": 0.2},
            "to hold some out needs at least 2 different values of person; there are 1",
        ),
        ([1], {"valid": 0.2}, "needs at least 2 samples; there are 1"),
        ([], {"valid": 0.2}, "needs at least 2 samples; there are 0"),
        (
            ["a", "", "b", ""],
            {"group": "person", "folds": 2},
            r"2 samples have no person \(00001.jpg, 00003.jpg\); name or exclude",
        ),
        (
            [1, 2],
            {"group": "persn", "valid": 0.5},
            r'split: no column persn \(did you mean "person"\?\); there are: id, path, person',
        ),
        ([1, 2], {"stratify": ["gender"], "valid": 0.5}, "split: no column gender; there are"),
    ],
)
def test_people_who_cannot_be_split_are_refused(people, settings, message):
    with pytest.raises(UserError, match=message):
        split_rows(table(people), Split(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"column": "part", "train": ["a"]}, "with column, lists of its texts"),
        ({"column": "part", "valid": 0.2}, "with column, lists of its texts"),
        ({"column": "part", "train": ["a"], "valid": ["b", "a"]}, "in one of train and valid; a is in both"),
        ({"column": "part", "train": ["a"], "valid": ["b"], "folds": 2}, "neither folds nor stratify"),
        ({"train": ["a"], "valid": ["b"]}, "only together with column"),
        ({"valid": 0.1, "folds": 5}, "either valid"),
        ({"folds": 5, "fold": 5}, "a fold from 0 to 4; found 5"),
        ({"valid": 1.0}, "less than 1"),
        ({"folds": 2, "seed": -1}, "greater than or equal to 0"),
    ],
)
def test_a_split_that_contradicts_itself_is_refused_by_the_config(settings, message):
    with pytest.raises(ValidationError, match=message):
        Split(**settings)


def test_people_on_both_sides_of_a_given_split_are_refused_by_name():
    splits.refuse_shared_groups(["a", "b"], ["c"], "people")
    with pytest.raises(UserError, match=r"split: 2 people on both sides \(a, b\)"):
        splits.refuse_shared_groups(["a", "b", "c"], ["b", "a", "d"], "people")


# Sides that a column names ------------------------------------------------------------------------------------------

PARTS = Split(column="part", train=["train", "extra"], valid=["val"])


def test_a_column_names_the_sides_and_the_rest_is_on_neither():
    found = table([1, 2, 3, 4, 5], part=["train", " val ", "test", "extra", "test"])
    train, valid = split_rows(found, PARTS)
    assert train.tolist() == [0, 3] and valid.tolist() == [1]
    assert splits.remarks(found, PARTS, train, valid, DataSpec()) == ["2 samples are on neither side: their part is test"]
    assert PARTS.in_words() == "sides by part" and PARTS.way == "column"


def test_a_text_that_no_sample_has_is_refused_with_the_texts_that_are_there():
    with pytest.raises(UserError, match=r'split\.valid: no sample has part = val \(did you mean "vale"\?\); there are: extra'):
        split_rows(table([1, 2, 3], part=["train", "vale", "extra"]), PARTS)
    with pytest.raises(UserError, match="split: no column part .*; there are: id, path, person"):
        split_rows(table([1, 2, 3]), PARTS)


def test_a_person_on_both_sides_of_a_column_is_refused():
    found = table(["a", "b", "b"], part=["train", "extra", "val"])
    with pytest.raises(UserError, match=r"1 values of person on both sides \(b\); name other texts of part"):
        split_rows(found, PARTS.model_copy(update={"group": "person"}))


# What is warned of --------------------------------------------------------------------------------------------------


def test_a_class_that_a_side_lacks_is_named():
    found = table([1, 2, 3, 4], mask=np.array([0, 1, 2, 0], np.int16))
    lines = splits.missing_class_warnings(found.take([0, 1]), found.take([2, 3]), DataSpec({"mask": ["worn", "wrong", "none"]}))
    assert lines == ["warning: no training sample of mask is none", "warning: no validation sample of mask is wrong"]


def test_fine_classes_are_looked_for_as_they_are_reported():
    found = table([1, 2], age=np.array([1, 2], np.int16))
    spec = DataSpec({"age": ["young", "old"]}, merged={"age": [0, 0, 1]})
    assert splits.missing_class_warnings(found.take([1]), found.take([0]), spec) == [
        "warning: no training sample of age is young",
        "warning: no validation sample of age is old",
    ]


def test_a_class_of_fewer_people_than_folds_is_named():
    found = table([1, 1, 2, 3, 4], mask=np.array([1, 1, 1, 0, 0], np.int16))
    spec = DataSpec({"mask": ["worn", "wrong"]})
    assert splits.few_people_warnings(found, Split(group="person", folds=2), spec) == []
    assert splits.few_people_warnings(found, Split(group="person", folds=3), spec) == [
        "warning: mask is worn for only 2 different values of person; 3 folds cannot all have one",
        "warning: mask is wrong for only 2 different values of person; 3 folds cannot all have one",
    ]


# Identical files ----------------------------------------------------------------------------------------------------


def filed(folder, *contents, **labels):
    found = table(range(len(contents)), root=folder, **labels)
    for path, content in zip(found.paths(), contents, strict=True):
        if content is not None:
            (folder / path).write_bytes(content)
    return found


def test_identical_files_are_found_and_others_are_not(tmp_path):
    long = bytes(10_000)
    found = filed(tmp_path, b"a", b"b", b"a", long + b"x", b"y" + long, long + b"x", b"", b"", None, b"z" + long, b"a")
    assert duplicates.identical_files(found) == [[0, 2, 10], [3, 5]]


def test_identical_files_on_both_sides_are_refused_by_name(tmp_path):
    found = filed(tmp_path, b"a", b"b", b"a", b"a", b"c")
    groups = duplicates.identical_files(found)
    duplicates.refuse_shared_bytes(found, groups, np.array([0, 2, 3]), np.array([1, 4]))
    with pytest.raises(
        UserError, match=r"split: 2 files of the validation side .* \(00000.jpg = 00002.jpg, 00000.jpg = 00003.jpg\)"
    ):
        duplicates.refuse_shared_bytes(found, groups, np.array([0, 1]), np.array([2, 3, 4]))


def test_identical_files_under_two_labels_are_named(tmp_path):
    found = filed(tmp_path, b"a", b"a", b"a", b"a", mask=np.array([-1, 0, 0, 2], np.int16))
    assert duplicates.contradiction_warnings(found, duplicates.identical_files(found), "mask") == [
        "warning: 1 files with the same bytes as another differ from it in mask (00001.jpg = 00003.jpg)"
    ]
    assert duplicates.contradiction_warnings(found, [[0, 1, 2]], "mask") == []


# The very samples of a split: whoever changes a bound by one sees it here ----------------------------------------------


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (Split(folds=5, fold=1, seed=3), "84e034369a44e02d"),
        (Split(group="person", stratify=["label"], folds=4, fold=2), "dae068fd9f009d65"),
        (Split(group="person", stratify=["label", "shot"], folds=10), "36137d1a231224d7"),
        (Split(valid=0.15), "6fd3e90f13352229"),
        (Split(group="person", stratify=["label"], valid=0.33, seed=9), "42f09272876c405a"),
    ],
    ids=lambda value: value.in_words() if isinstance(value, Split) else "",
)
def test_a_split_of_given_samples_never_changes(split, expected):
    assert splits.split_hash(*sides(random_table(7, 240, 50, 4), split))[:16] == expected


def test_a_class_of_as_many_samples_as_folds_is_a_stratum_of_its_own():
    label = np.array([0] * 20 + [1] * 5, np.int16)
    held_out = [split_rows(table(range(25), label=label), Split(stratify=["label"], folds=5, fold=fold))[1] for fold in range(5)]
    assert [int(label[rows].sum()) for rows in held_out] == [1] * 5


def test_of_two_numbers_equally_near_to_the_share_the_smaller_is_held_out():
    people = np.repeat(np.arange(10), 10)  # ten folds of 10; a share of 15 lies halfway between one and two
    assert len(split_rows(table(people), Split(group="person", valid=0.15))[1]) == 10


def test_a_share_that_is_nearly_a_third_is_built_from_twentieths():
    assert [splits._parts_for(share) for share in (0.1, 0.15, 1 / 3, 0.3333)] == [10, 20, 3, 20]


# Copies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [Split(valid=0.25), Split(folds=4, fold=2), Split(folds=4, fold=2, group="person")], ids=str)
def test_copies_stay_on_one_side_of_every_fold_and_all_samples_are_held_out_once(split):
    people = [f"p{row // 2}" for row in range(40)]
    found = table(people)
    copies = [[0, 13, 26], [5, 38]]
    held = []
    for fold in range(split.folds or 1):
        train, valid = split_rows(found, split.model_copy(update={"fold": fold}) if split.folds else split, copies)
        for rows in copies:
            assert set(rows) <= set(train.tolist()) or set(rows) <= set(valid.tolist())
        if split.group:
            assert not {people[row] for row in train} & {people[row] for row in valid}
        held += valid.tolist()
    assert sorted(held) == list(range(40)) if split.folds else 0 < len(held) < 40


def test_a_split_that_parts_no_copies_is_the_same_with_them():
    found, split = table(range(40)), Split(folds=4, fold=1)
    held = [split_rows(found, split.model_copy(update={"fold": fold}))[1].tolist() for fold in range(4)]
    for copies in ([held[0][:3]], [held[1][:2], held[3][2:4]]):
        assert split_rows(found, split, copies)[1].tolist() == held[1]
    assert split_rows(found, split, [[held[0][0], held[2][0]]])[1].tolist() != held[1]  # parts of other folds than its own


def test_copies_of_nearly_everybody_are_left_to_be_refused():
    found, split = table(range(8)), Split(folds=4)
    assert split_rows(found, split, [list(range(7))])[1].tolist() == split_rows(found, split)[1].tolist()
