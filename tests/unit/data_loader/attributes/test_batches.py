"""Label columns are kept for as long as the samples stay the same."""

from __future__ import annotations

import numpy as np

from base.pseudo_labels import PseudoLabels


def test_closed_batches_forget_the_labels_and_the_order_of_before(make_loader):
    loader = make_loader(mix=[{"type": "MixUp"}])
    batches, own = loader.batches, len(loader.table("train"))
    list(loader.train(0))
    assert batches._columns and batches._shown[0] == 0
    rows = np.array([0, 3])
    loader.adopt("test", PseudoLabels.joined([("mask", rows, np.array([2, 1]), np.full(2, 0.9))]), 0.5)
    assert not batches._columns and batches._shown[0] == -1
    targets = batches.targets("train", np.array([0, own, own + 1]))
    assert targets["mask"].tolist() == [loader.table("train").values("mask", 0), 2, 1]
    assert targets["share"].tolist() == [1.0, 0.5, 0.5]


def test_validation_has_no_share_of_adopted_samples(make_loader):
    loader = make_loader()
    loader.adopt("test", PseudoLabels.joined([("mask", np.array([0]), np.array([2]), np.ones(1))]), 0.5)
    assert "share" not in loader.batches.targets("valid", np.array([0, 1]))
