"""A data set as the app looks at it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from base.table import SampleTable
from inspection.dataset import close_pairs, difference_hash, group_leaks, look_at_files, twins


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
