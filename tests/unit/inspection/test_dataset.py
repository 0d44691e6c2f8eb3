"""A data set as the app looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from base.table import SampleTable
from inspection import dataset
from inspection.dataset import Data, close_pairs, difference_hash, group_leaks, look_at_files, open_data, twins
from utils import config
from utils.errors import UserError


@pytest.fixture
def data(tiny_config: Callable[..., Path], tmp_path: Path) -> Data:
    """The tiny data, as a run's config names them."""
    values = config.read(tiny_config()).values
    path = tmp_path / "run.json"
    path.write_text(json.dumps(values))
    return open_data(path)


def test_balance_counts_every_sample_once_on_its_side_and_once_in_its_fold(data: Data) -> None:
    table = dataset.balance(data)
    mask = table[table["label"] == "mask"]
    number = len(data.table("train")) + len(data.table("valid"))
    assert mask[mask["side"].isin(["train", "valid"])]["samples"].sum() == number
    assert mask[mask["side"].str.startswith("fold")]["samples"].sum() == number
    assert set(mask["side"]) == {"train", "valid", "fold 0", "fold 1", "fold 2", "fold 3", "fold 4"}


def test_a_person_on_both_sides_is_named(tmp_path: Path) -> None:
    columns = {"id": ["a", "b", "c"], "path": ["a", "b", "c"], "person": ["x", "x", "y"], "side": ["train", "valid", "train"]}
    assert group_leaks(SampleTable.from_columns(tmp_path, columns), "person") == ["x"]


def test_unreadable_files_and_twins_are_found(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    image = cv2.resize(draw.integers(0, 255, (8, 6, 3), np.uint8), (96, 128), interpolation=cv2.INTER_CUBIC)
    other = cv2.resize(draw.integers(0, 255, (8, 6, 3), np.uint8), (96, 128), interpolation=cv2.INTER_CUBIC)
    for name, picture, quality in (("a", image, 95), ("b", image, 95), ("c", image, 60), ("d", other, 95)):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    (tmp_path / "e.jpg").write_bytes(b"")
    names = [f"{name}.jpg" for name in "abcde"]
    sides = ["train", "valid", "train", "train", "train"]
    table = SampleTable.from_columns(tmp_path, {"id": names, "path": names, "side": sides})
    hashes, unreadable = look_at_files(table, lambda done: None)
    assert unreadable == {"e.jpg": "is an empty file"}
    found = twins(table, hashes)
    assert found[["first", "second", "bytes"]].to_numpy().tolist() == [
        ["a.jpg", "b.jpg", "same"], ["b.jpg", "c.jpg", "other"], ["a.jpg", "c.jpg", "other"],
    ]  # fmt: skip


def test_close_hashes_are_those_that_every_pair_compared_gives() -> None:
    draw = np.random.default_rng(1)
    hashes = draw.integers(1, 2**63, 60, np.uint64)
    for row in range(30):
        flips = draw.choice(64, draw.integers(0, 8), replace=False)
        hashes[row + 30] = hashes[row] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    wanted = {(a, b) for a in range(60) for b in range(a + 1, 60) if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= 4}
    assert {(pair.a, pair.b) for pair in close_pairs(hashes)} == wanted


def test_the_hash_is_the_same_in_another_size_and_brightness() -> None:
    draw = np.random.default_rng(2)
    image = cv2.resize(draw.integers(20, 200, (8, 9, 3), np.uint8), (180, 160), interpolation=cv2.INTER_CUBIC)
    hashes = [difference_hash(picture) for picture in (image, cv2.resize(image, (90, 80)), image + 20)]
    assert max((hashes[0] ^ other).bit_count() for other in hashes) <= 4


def test_augmentation_of_a_seed_is_what_training_shows_in_that_epoch(data: Data) -> None:
    shown = dataset.augmented(data, 3, 5, 4)
    assert len({image.tobytes() for image in shown}) > 1
    assert all((a == b).all() for a, b in zip(shown, dataset.augmented(data, 3, 5, 4), strict=True))
    batch = next(rows for rows in data.loader.order(5) if 3 in rows)
    trained = next(item for item in data.loader.train(5) if 3 in item["index"].tolist())
    place = trained["index"].tolist().index(3)
    assert len(batch) and (trained["image"][place].permute(1, 2, 0).numpy() == shown[0]).all()


def test_data_that_are_gone_are_one_error(tmp_path: Path, tiny_config: Callable[..., Path]) -> None:
    path = tiny_config({"data_loader.args.data_dir": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="gone"):
        open_data(path)
