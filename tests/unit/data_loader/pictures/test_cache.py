"""Decoded pictures are read once for all processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loader.batches.stream import BatchKey, BatchStream
from data_loader.pictures.cache import PictureCache


def test_a_picture_is_read_once_and_handed_out_as_a_copy():
    cache, reads = PictureCache(3, (2, 2)), []

    def read():
        reads.append(1)
        return np.full((2, 2, 3), 7, np.uint8)

    cache.get(1, read)[:] = 0
    cache.get(1, read)[:] = 0
    assert (cache.get(1, read) == 7).all() and len(reads) == 1


def test_pictures_that_a_worker_reads_are_there_for_all():
    cache = PictureCache(4, (2, 2))

    def make(key):
        place = int(key.rows[0])
        return {"value": torch.tensor(int(cache.get(place % 4, lambda: np.full((2, 2, 3), place, np.uint8))[0, 0, 0]))}

    batches = BatchStream(make, 2, 30.0, pin_memory=False)
    keys = [BatchKey("train", 0, np.array([place]), np.zeros(1, int)) for place in range(8)]
    list(batches.iterate(keys[:4]))
    assert [int(batch["value"]) for batch in batches.iterate(keys)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert (cache.get(3, lambda: np.zeros((2, 2, 3), np.uint8)) == 3).all()
    batches.close()


def test_a_picture_that_cannot_be_read_is_tried_again():
    cache = PictureCache(1, (1, 1))

    def fail():
        raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        cache.get(0, fail)
    assert (cache.get(0, lambda: np.ones((1, 1, 3), np.uint8)) == 1).all()
