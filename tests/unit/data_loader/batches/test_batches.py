"""Any batch is a function of seed, epoch and sample; workers share what was read before they were forked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_loader.augment.transforms import BaseTransform
from data_loader.batches.stream import BatchKey, Failure
from data_loader.pictures.decode import ImageError
from tests.people import batches_of, write_people
from utils import distributed
from utils.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_people(tmp_path / "people")


def images(batches: Any) -> list[torch.Tensor]:
    return [batch["image"].clone() for batch in batches]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_closed_batches_begin_anew_and_are_the_same(folder: Path, workers: int) -> None:
    batches, alone = batches_of(folder, num_workers=workers), batches_of(folder)
    expected = [images(alone.train(epoch)) for epoch in (0, 1)]
    assert same(images(batches.train(0)), expected[0])
    first = batches._stream
    batches.close()
    batches.close()
    assert batches._stream is None
    assert same(images(batches.train(1)), expected[1]) and batches._stream is not first
    batches.close()


def test_the_memory_for_pictures_is_there_before_workers_are_forked(folder: Path) -> None:
    batches, expected = batches_of(folder, num_workers=2), images(batches_of(folder).train(1))
    list(batches.train(0))
    for path in (folder / "train").iterdir():
        path.unlink()
    assert same(images(batches.train(1)), expected)  # pictures that the other worker decoded too
    batches.close()


def test_no_memory_is_taken_for_a_split_without_targets(folder: Path) -> None:
    batches = batches_of(folder)
    assert [batch["error"] for _, batch in batches.evaluation("test")] == [["", ""]]
    assert batches.pictures.reserved and batches.pictures._cache is None and batches.samples.number == 0


def test_the_later_batches_of_an_epoch_need_none_of_the_earlier(folder: Path) -> None:
    batches = batches_of(folder)
    assert same(images(batches.train(3, 2)), images(batches.train(3))[2:])


def test_another_draw_epoch_or_seed_gives_another_augmentation(folder: Path) -> None:
    batches, other = batches_of(folder), batches_of(folder, seed=2)
    key = BatchKey("train", 0, np.array([0]), np.array([0]))
    keys = {batches.draw_seed(key, 0, 0), batches.draw_seed(key, 0, 1), batches.draw_seed(key._replace(epoch=1), 0, 0)}
    assert len(keys | {batches.draw_seed(key, 1, 0), other.draw_seed(key, 0, 0)}) == 5


def test_a_picture_that_cannot_be_read_is_named_by_its_own_row(folder: Path) -> None:
    batches = batches_of(folder, cache_mb=0)
    batches.samples.table("train").path(5).write_bytes(b"")
    with pytest.raises(ImageError) as error:
        batches.decoded("train", 5)
    assert error.value.row == 5
    failure = batches.make(BatchKey("train", 0, np.array([4, 5]), np.zeros(2, int)))
    assert failure == Failure("train", {5: "is an empty file"})


def test_every_picture_that_cannot_be_read_is_named_at_once(folder: Path) -> None:
    batches = batches_of(folder)
    for split in ("train", "valid"):
        batches.samples.table(split).path(1).write_bytes(b"")
    with pytest.raises(UserError, match="2 of 24 images cannot be read") as error:
        list(batches.train(0))
    assert len(str(error.value).splitlines()) == 3


def test_a_batch_of_fewer_samples_than_processes_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 5)
    with pytest.raises(UserError, match=r"batch_size: a batch of \d samples cannot be shared by 5 processes; make it larger"):
        batches_of(folder).order(0)


def test_processes_share_each_batch_between_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [batch["index"].tolist() for batch in batches_of(folder).train(0)]
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append([batch["index"].tolist() for batch in batches_of(folder).train(0)])
    assert [one + other for one, other in zip(*parts, strict=True)] == whole


def test_training_transforms_are_not_those_of_evaluation(folder: Path) -> None:
    class Black(BaseTransform):
        """Nothing is left of a picture."""

        def __call__(self, **data: Any) -> dict[str, Any]:
            return {**data, "image": np.zeros_like(data["image"])}

    batches = batches_of(folder)
    batches.pictures.training.steps = [Black()]
    assert all(not batch["image"].any() for batch in batches.train(0))
    assert all(batch["image"].any() for _, batch in batches.evaluation("train"))
