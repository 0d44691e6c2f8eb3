"""Batches of P identities with K images: exact, the same for the same epoch, every identity as often as declared."""

from collections import Counter

import numpy as np
import pytest

from base.table import SampleTable
from data_loader.verification.identity_sampler import IdentitySampler
from utils.errors import UserError

COUNTS = [1, 1, 1, 2, 3, 4, 4, 5, 8, 23]


def table(counts=COUNTS):
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [f"{row:03}" for row in range(len(labels))]
    return SampleTable.from_columns("/", {"id": names, "path": names, "identity": labels})


def batches(sampler, epoch=0, seed=1, counts=COUNTS):
    return sampler.batches(table(counts), sampler.identities * sampler.images, seed, epoch)


def labels_of(batch, counts=COUNTS):
    return np.repeat(np.arange(len(counts)), counts)[batch]


@pytest.mark.parametrize("few", ["repeat", "drop"])
@pytest.mark.parametrize("epoch", range(20))
def test_every_batch_has_exactly_p_identities_of_k_images(few, epoch):
    for batch in batches(IdentitySampler(3, 4, few), epoch):
        assert sorted(Counter(labels_of(batch).tolist()).values()) == [4, 4, 4]


def test_every_epoch_has_equally_many_batches():
    assert len({len(batches(IdentitySampler(3, 2), epoch)) for epoch in range(50)}) == 1


def test_the_order_is_a_function_of_seed_and_epoch():
    first = batches(IdentitySampler(3, 2), 5)
    assert all(np.array_equal(a, b) for a, b in zip(first, batches(IdentitySampler(3, 2), 5), strict=True))
    for other in (batches(IdentitySampler(3, 2), 6), batches(IdentitySampler(3, 2), 5, seed=2)):
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_identities_of_few_images_are_repeated():
    seen = Counter(labels_of(np.concatenate(batches(IdentitySampler(2, 4, "repeat")))).tolist())
    assert seen[0] in (0, 4)


def test_or_dropped():
    for epoch in range(10):
        seen = set(labels_of(np.concatenate(batches(IdentitySampler(2, 4, "drop"), epoch))).tolist())
        assert seen <= {5, 6, 7, 8, 9}


def test_every_identity_is_seen_as_often_as_its_images_allow():
    counts = [2] * 6 + [6]
    seen = Counter(labels_of(np.concatenate(batches(IdentitySampler(3, 2), counts=counts)), counts).tolist())
    assert seen == {**dict.fromkeys(range(6), 2), 6: 6}


def test_an_identity_shows_all_its_images_before_any_twice():
    counts = [6, 6, 6]
    rows = np.concatenate(batches(IdentitySampler(3, 2), counts=counts))
    assert sorted(rows.tolist()) == list(range(18))


def test_an_identity_comes_at_most_as_often_as_declared():
    seen = Counter(labels_of(np.concatenate(batches(IdentitySampler(3, 2, most=2)))).tolist())
    assert max(seen.values()) <= 4


def test_a_large_identity_cannot_come_twice_in_a_batch():
    counts = [1, 1, 1, 500]
    found = batches(IdentitySampler(2, 2), counts=counts)
    assert len(found) == 3 and all(len(set(labels_of(batch, counts).tolist())) == 2 for batch in found)


def test_samples_of_unknown_identity_are_not_drawn():
    names = ["a", "b", "c", "d", "e"]
    unknown = SampleTable.from_columns("/", {"id": names, "path": names, "identity": np.array([-1, 0, 0, 1, 1])})
    assert sorted(np.concatenate(IdentitySampler(2, 2).batches(unknown, 4, 0, 0)).tolist()) == [1, 2, 3, 4]


def test_too_few_identities_are_refused():
    with pytest.raises(UserError, match="found 9; the training samples have 5 identities of 4 or more images"):
        batches(IdentitySampler(9, 4, "drop"))


def test_another_batch_size_is_refused():
    with pytest.raises(UserError, match="3 identities x 2 images = 6"):
        IdentitySampler(3, 2).batches(table(), 8, 0, 0)
