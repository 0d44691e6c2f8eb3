"""Adopted samples stand behind those to train on, and change neither side of the split."""

from __future__ import annotations

import numpy as np

from base.pseudo_labels import PseudoLabels

READER = {"type": "PatternReader", "args": {"root": "eval/images", "pattern": ".*"}}


def test_adopting_changes_no_side_and_takes_no_place_in_the_cache(make_loader):
    samples = make_loader().samples
    sides, number = samples.sides, samples.number
    before = samples.fingerprint()
    samples.adopt("test", PseudoLabels.joined([("mask", np.array([1]), np.array([2]), np.ones(1))]), 1.0)
    assert samples.sides is sides and samples.number == number and samples.fingerprint() == before
    own = len(sides.train)
    assert samples.table("train").ids() == [*sides.train.ids(), f"test:{samples.table('test').id(1)}"]
    assert samples.source("train", own) == (samples.table("test").path(1).absolute(), None, None)
    assert samples.source("train", own - 1).place == own - 1


def test_every_reader_of_the_config_is_there_for_commands_that_look_at_all_pictures(make_loader):
    assert len(make_loader(test_reader=None).samples.readers()) == 1
    loader = make_loader(unlabelled_reader=READER)
    assert [type(reader).__name__ for reader in loader.samples.readers()][-1] == "PatternReader"
    assert len(loader.samples.readers()) == 3 and loader.pools == ("test", "unlabelled")
    assert len(loader.table("unlabelled")) == len(loader.table("test"))


def test_the_samples_have_classes_before_anything_is_read(make_loader):
    samples = make_loader(data_dir="no/such/folder").samples
    assert list(samples.spec.classes) == samples.learned == ["mask", "gender", "age"]
