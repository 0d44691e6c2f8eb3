"""Mixed samples are a function of seed, epoch and sample; what is in a picture and what is in its target agree."""

import hashlib

import numpy as np
import pytest
import torch

from base.contracts import PARTNER, SHARE
from data_loader.augment.mixing import CutMix, MixUp, chosen
from data_loader.batches.stream import BatchKey
from utils.batch import cut, pieces
from utils.config import ConfigError
from utils.errors import UserError
from utils.seed import generator

BOTH = [{"type": "MixUp", "args": {"p": 0.4}}, {"type": "CutMix", "args": {"p": 0.4}}]


def digest(value):
    if isinstance(value, dict):
        return {key: digest(item) for key, item in value.items()}
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()


def digests(batches):
    return [digest(dict(batch)) for batch in batches]


def rng(seed=0):
    return np.random.default_rng(seed)


# Formulas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_mixup_is_the_weighted_mean_of_two_pictures(seed):
    one, other = rng(seed).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    joined, share = MixUp(alpha=1.0).join(one, other, rng(seed + 100))

    assert 0 <= share <= 1
    assert np.abs(joined - (share * one + (1 - share) * other)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("seed", range(20))
def test_the_share_of_cutmix_is_the_part_of_the_area_that_is_left(seed):
    one, other = np.zeros((31, 17, 3), np.uint8), np.full((31, 17, 3), 255, np.uint8)
    joined, share = CutMix().join(one, other, rng(seed))

    assert set(np.unique(joined)) <= {0, 255}
    assert share == pytest.approx((joined == 0).mean())
    assert not one.any()  # the partner is not written into what may be a cache


def test_cutmix_replaces_one_rectangle():
    joined, _ = CutMix().join(np.zeros((40, 40, 3), np.uint8), np.ones((40, 40, 3), np.uint8), rng(3))
    rows, columns = np.nonzero(joined[..., 0])
    inside = joined[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]

    assert inside.all()


def test_each_way_is_chosen_as_often_as_its_p_says():
    mixes = [MixUp(0.2), CutMix(0.5)]
    names = [type(chosen(mixes, generator(number))).__name__ for number in range(4000)]

    assert names.count("MixUp") / 4000 == pytest.approx(0.2, abs=0.03)
    assert names.count("CutMix") / 4000 == pytest.approx(0.5, abs=0.03)


# The loader ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_mixed_batches_depend_on_seed_epoch_and_sample_alone(make_loader, workers):
    one, other = make_loader(mix=BOTH), make_loader(mix=BOTH, num_workers=workers)

    assert digests(one.train(1)) == digests(other.train(1))
    assert digests(other.train(1, 3)) == digests(one.train(1))[3:]
    assert digests(one.train(2)) != digests(one.train(1))


def test_a_sample_is_mixed_alike_in_whatever_batch_it_is(make_loader):
    loader = make_loader(mix=BOTH)
    rows = loader.order(0)[2]
    batch = loader.batches.make(BatchKey("train", 0, rows, np.zeros_like(rows), 2))
    parts = [loader.batches.make(BatchKey("train", 0, part, np.zeros_like(part), 2)) for part in np.array_split(rows, 3)]

    for index, (piece, _) in enumerate(pieces(batch, [len(rows)], 0, 1)):
        assert index == 0 and piece is batch
    starts = np.cumsum([0, *(len(part["index"]) for part in parts)])
    for part, start in zip(parts, starts[:-1], strict=True):
        assert digest(part) == digest(cut(batch, int(start), int(start) + len(part["index"])))


def test_the_target_names_the_labels_of_what_is_in_the_picture(make_loader):
    plain = make_loader(train_transforms=[])
    mixed = make_loader(train_transforms=[], mix=[{"type": "MixUp", "args": {"alpha": 1.0}}])
    table = plain.table("train")
    pictures = np.stack([plain.batches.decoded("train", row) for row in range(len(table))]).astype(np.float32)
    for batch in mixed.train(0):
        for place, row in enumerate(batch["index"].tolist()):
            share = float(batch["target"][SHARE][place])
            seen = batch["image"][place].permute(1, 2, 0).numpy()
            partner = np.abs(share * pictures[row] + (1 - share) * pictures - seen).max(axis=(1, 2, 3)).argmin()
            if share < 0.9:  # else the partner can hardly be seen
                labels = {name: int(table.numbers(name)[partner]) for name in mixed.samples.labels}
                assert {name: int(batch["target"][PARTNER][name][place]) for name in mixed.samples.labels} == labels
        assert torch.equal(batch["target"][SHARE] + batch["target"][PARTNER][SHARE], torch.ones(len(batch["index"])))


def test_a_sample_that_is_not_mixed_is_what_it_is_without_mixing(make_loader):
    plain, mixed = make_loader(), make_loader(mix=[{"type": "MixUp", "args": {"p": 0.3}}])
    for before, after in zip(plain.train(0), mixed.train(0), strict=True):
        own = after["target"][SHARE] == 1
        assert 0 < own.sum() < len(own)
        assert torch.equal(before["image"][own], after["image"][own])
        assert all(torch.equal(before["target"][name], after["target"][name]) for name in plain.samples.labels)


def test_validation_is_not_mixed(make_loader):
    plain, mixed = make_loader(), make_loader(mix=BOTH)
    assert digests(b for _, b in plain.evaluation("valid")) == digests(b for _, b in mixed.evaluation("valid"))


def test_training_pictures_that_are_evaluated_are_not_mixed(make_loader):
    """As those that an export calibrates its integers on."""
    plain, mixed = make_loader(), make_loader(mix=[{"type": "MixUp"}])
    for (_, one), (_, other) in zip(plain.evaluation("train"), mixed.evaluation("train"), strict=True):
        assert torch.equal(one["image"], other["image"])
        assert SHARE not in other["target"]


def test_partners_are_drawn_as_the_sampler_draws(make_loader):
    sampler = {"type": "WeightedSampler", "args": {"label": "mask", "weights": [0.0, 0.0, 1.0]}}
    loader = make_loader(mix=BOTH, sampler=sampler)
    assert all((batch["target"][PARTNER]["mask"] == 2).all() for batch in loader.train(0))


def test_a_partner_that_cannot_be_read_is_named_and_not_the_sample(make_loader):
    loader = make_loader(mix=[{"type": "MixUp"}], cache_mb=0)
    key = BatchKey("train", 0, np.array([0]), np.array([0]), 0)
    partner = loader.batches.sample(key, 0, 0).partner
    path, real = loader.table("train").path(partner), loader.pictures.read

    def read(wanted, box=None):
        return real(wanted.with_suffix(".gone") if wanted == path else wanted, box)

    loader.pictures.read = read
    assert list(loader.batches.make(key).reasons) == [partner]


# Refusals -----------------------------------------------------------------------------------------------------------


def test_pictures_of_different_sizes_are_not_mixed(make_loader):
    loader = make_loader(mix=[{"type": "MixUp"}], train_transforms=[{"type": "RandomScale", "args": {"p": 1.0}}])
    with pytest.raises(UserError, match="pictures of different sizes"):
        list(loader.train(0))


def test_more_than_all_samples_cannot_be_mixed(make_loader):
    with pytest.raises(ConfigError, match=r"args\.mix: found 1\.3 as the sum of all p; allowed: at most 1"):
        make_loader(mix=[{"type": "MixUp", "args": {"p": 0.8}}, {"type": "CutMix", "args": {"p": 0.5}}])


def test_a_label_may_not_be_called_like_a_key_of_targets(make_loader):
    with pytest.raises(ConfigError, match=r"labels\.share: is a key of targets"):
        make_loader(
            labels={"share": {"column": "gender", "classes": ["male", "female"]}}, split={"group": "person", "valid": 0.2}
        )
