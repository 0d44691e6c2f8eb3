"""Adopted samples are trained on and nothing else: not in validation, not in counts, not in the sampler's order."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from base.contracts import PARTNER, SHARE, DataSpec
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabels
from data_loader.attributes.unlabelled import propose
from tests.attributes.fixtures import MASKS
from utils import config
from utils.errors import UserError

SURE = {"mask": [0.98, 0.01, 0.01], "gender": [0.4, 0.6]}


def predicted(table, rows=SURE, errors=None):
    columns = {name: torch.tensor(values).repeat(len(table), 1) for name, values in rows.items()}
    return Predictions.of(table.ids(), columns, errors)


def some_labels(rows=(1, 4, 6)):
    rows = np.array(rows)
    return PseudoLabels.joined([("mask", rows, np.full(len(rows), 2), np.full(len(rows), 0.9))])


def rows_of(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


# Selection ----------------------------------------------------------------------------------------------------------


def proposals():
    parts = [
        ("mask", np.arange(6), np.array([0, 0, 0, 0, 1, 1]), np.array([0.9, 0.99, 0.6, 0.95, 0.7, 0.8])),
        ("gender", np.arange(3), np.array([1, 1, 0]), np.array([0.95, 0.95, 0.5])),
    ]
    return PseudoLabels.joined(parts)


def chosen(found):
    return sorted(zip(found.labels.tolist(), found.rows.tolist(), strict=True))


def test_the_surest_of_each_class_of_each_label_are_chosen():
    expected = [("gender", 0), ("gender", 2), ("mask", 1), ("mask", 3), ("mask", 5)]
    assert chosen(proposals().surest(0.0, 0.5)) == expected  # of two equally sure ones the first


def test_none_below_the_threshold_is_chosen():
    assert chosen(proposals().surest(0.9, 1.0)) == [("gender", 0), ("gender", 1), ("mask", 0), ("mask", 1), ("mask", 3)]
    assert len(proposals().surest(0.999, 1.0)) == 0


def test_a_choice_comes_back_from_its_state():
    found = proposals().surest(0.9, 1.0)
    again = PseudoLabels.from_state(found.state_dict())
    for name in ("rows", "labels", "classes", "confidence"):
        assert getattr(again, name).tolist() == getattr(found, name).tolist()
    assert len(PseudoLabels.from_state(PseudoLabels.joined([]).state_dict())) == 0


# Proposals ----------------------------------------------------------------------------------------------------------


def test_a_label_trained_in_finer_classes_is_not_proposed_and_that_is_said(make_loader):
    loader = make_loader()
    found = loader.pseudo_labels("test", predicted(loader.table("test")))
    assert set(found.labels) == {"mask", "gender"}
    assert found.notes == ("no pseudo-labels for age, trained in finer classes than are predicted",)


def test_where_all_labels_are_finer_it_is_refused():
    spec = DataSpec({"age": ["young", "old"]}, merged={"age": [0, 0, 1]})
    with pytest.raises(UserError, match="age: trained in finer classes"):
        propose(Predictions.of([], {}), spec, np.zeros(0, bool))


def test_a_combined_label_is_proposed_and_adopted(make_loader):
    masks = config.read(MASKS).values["data_loader"]["args"]["labels"]
    loader = make_loader(labels={**masks, "all": {"combine": ["mask", "gender"]}}, learn=["all"])
    own = len(loader.table("train"))
    found = loader.pseudo_labels("test", predicted(loader.table("test"), {"all": [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]}))
    loader.adopt("test", found, 1.0)
    seen = [batch["target"]["all"][batch["index"] >= own].tolist() for batch in loader.train(0)]

    assert set(found.labels) == {"all"}
    assert sorted(label for labels in seen for label in labels) == [1] * len(loader.table("test"))


def test_a_picture_that_could_not_be_read_is_not_proposed(make_loader):
    loader = make_loader()
    table = loader.table("test")
    errors = ["cannot be read", *[""] * (len(table) - 1)]
    found = loader.pseudo_labels("test", predicted(table, errors=errors))
    assert 0 not in found.rows and 1 in found.rows


def test_a_file_that_is_validated_on_is_never_proposed(make_loader, masks_folder, tmp_path):
    folder = Path(shutil.copytree(masks_folder, tmp_path / "masks"))
    plain = make_loader(data_dir=str(folder))
    source, place = plain.table("valid").path(3), plain.table("test").path(2)
    shutil.copy(source, place)
    loader = make_loader(data_dir=str(folder))
    found = loader.pseudo_labels("test", predicted(loader.table("test")))

    assert sorted(set(range(len(loader.table("test")))) - set(found.rows.tolist())) == [2]
    assert "no pseudo-labels for 1 samples that show files or groups which are validated on" in found.notes


def test_nobody_who_is_validated_on_is_proposed_from_another_reader(make_loader):
    reader = {"type": "PatternReader", "args": {"root": "train/images", "pattern": "(?P<person>[^_/]+)_.*"}}
    loader = make_loader(unlabelled_reader=reader)
    table = loader.table("unlabelled")
    found = loader.pseudo_labels("unlabelled", predicted(table))
    people = {table.strings("person")[row] for row in found.rows}

    assert loader.pools == ("test", "unlabelled")
    assert people == set(loader.table("train").strings("person"))


# Adoption -----------------------------------------------------------------------------------------------------------


def test_adopted_samples_are_shown_once_an_epoch_beside_all_others(make_loader):
    loader = make_loader()
    own, before = len(loader.table("train")), len(loader.order(1))
    plain = sorted(np.concatenate(loader.order(1)).tolist())
    loader.adopt("test", some_labels(), 1.0)

    assert sorted(rows_of(loader.train(1))) == [*plain, own, own + 1, own + 2]
    assert len(loader.order(1)) == before
    assert [loader.table("train").id(row).partition(":")[0] for row in range(own, own + 3)] == ["test"] * 3


def test_what_is_not_proposed_for_an_adopted_sample_is_not_known(make_loader):
    loader = make_loader()
    own = len(loader.table("train"))
    loader.adopt("test", some_labels(), 1.0)
    seen = [
        [int(batch["target"][name][place]) for name in ("mask", "gender", "age")]
        for batch in loader.train(0) for place, row in enumerate(batch["index"].tolist()) if row >= own
    ]  # fmt: skip
    assert seen == [[2, -1, -1]] * 3


def test_an_adopted_sample_counts_by_its_weight(make_loader):
    loader = make_loader()
    own = len(loader.table("train"))
    loader.adopt("test", some_labels(), 0.25)
    for batch in loader.train(0):
        assert batch["target"][SHARE].tolist() == [0.25 if row >= own else 1.0 for row in batch["index"].tolist()]


def test_shares_of_mixed_samples_are_weighted_too(make_loader):
    loader = make_loader(mix=[{"type": "MixUp", "args": {"alpha": 1.0}}])
    own = len(loader.table("train"))
    loader.adopt("test", some_labels(), 0.5)
    totals = [
        (row >= own, float(batch["target"][SHARE][place] + batch["target"][PARTNER][SHARE][place]))
        for batch in loader.train(0) for place, row in enumerate(batch["index"].tolist())
    ]  # fmt: skip
    assert all(0.5 - 1e-6 <= total <= 1 + 1e-6 for _, total in totals)
    assert any(total < 1 - 1e-6 for adopted, total in totals if adopted)


def test_validation_counts_and_split_are_those_of_before(make_loader):
    loader, plain = make_loader(), make_loader()
    loader.adopt("test", some_labels(), 1.0)

    assert loader.spec == plain.spec
    assert loader.split_hash == plain.split_hash
    assert loader.table("valid").ids() == plain.table("valid").ids()
    assert not set(loader.table("valid").ids()) & set(loader.table("train").ids())
    for (_, ours), (_, theirs) in zip(loader.evaluation("valid"), plain.evaluation("valid"), strict=True):
        assert torch.equal(ours["image"], theirs["image"])
        assert ours["target"].keys() == theirs["target"].keys()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_with_adopted_samples_are_a_function_of_the_epoch(make_loader, workers):
    one, other = make_loader(), make_loader(num_workers=workers)
    list(other.train(0))  # its workers are there before anything is adopted
    for loader in (one, other):
        loader.adopt("test", some_labels(), 0.5)
    for ours, theirs in zip(one.train(3), other.train(3), strict=True):
        assert torch.equal(ours["image"], theirs["image"])
        assert torch.equal(ours["index"], theirs["index"])


def test_a_later_choice_takes_the_place_of_an_earlier_one(make_loader):
    loader = make_loader()
    own = len(loader.table("train"))
    loader.adopt("test", some_labels(), 1.0)
    loader.adopt("test", some_labels((0,)), 1.0)
    assert len(loader.table("train")) == own + 1
