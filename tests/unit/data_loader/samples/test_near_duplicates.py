"""Frames of one video and turned copies of a picture are of one source; other pictures are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from base.table import SampleTable
from data_loader.samples.near_duplicates import Sources, near_duplicates
from laurel import command
from utils.errors import UserError


def scene(seed):
    """Smooth blobs, (120, 160, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)


def save(folder: Path, **pictures):
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.jpg"), picture)
    ids = [f"{name}.jpg" for name in pictures]
    return SampleTable.from_columns(folder, {"id": ids, "path": ids})


def test_turned_mirrored_resized_and_noisy_copies_are_of_one_source(tmp_path):
    one, noise = scene(1), np.random.default_rng(0).normal(0, 4, (120, 160, 3))
    table = save(
        tmp_path, b=one, c=one[:, ::-1], d=one[::-1, ::-1], e=np.rot90(one), f=cv2.resize(one, (320, 240)),
        g=np.clip(one + noise, 0, 255).astype(np.uint8), h=scene(2), a=scene(3),
    )  # fmt: skip
    assert near_duplicates(table, 50) == ["b.jpg"] * 6 + ["h.jpg", "a.jpg"]


def test_a_chain_of_near_pictures_is_of_one_source(tmp_path):
    from data_loader.samples.near_duplicates import _near, _signs

    chain = [cv2.addWeighted(scene(1), 1 - share, scene(2), share, 0) for share in np.linspace(0, 1, 11)]
    table = save(tmp_path, **{f"{number:02}": picture for number, picture in enumerate(chain)})
    assert near_duplicates(table, 70) == ["00.jpg"] * 11
    ends = np.stack([cv2.resize(cv2.cvtColor(chain[n], cv2.COLOR_BGR2GRAY), (17, 17)) for n in (0, 10)])
    assert np.concatenate(list(_near(ends, 70))).shape == (0, 2) and _signs(ends).shape == (2, 272)


def test_every_pair_is_compared_once_in_blocks(monkeypatch):
    from data_loader.samples import near_duplicates as module

    thumbnails = np.random.default_rng(0).integers(0, 256, (50, 17, 17), np.uint8)
    thumbnails[40] = thumbnails[3]
    thumbnails[41] = thumbnails[7][:, ::-1]
    monkeypatch.setattr(module, "_ROWS", 8)
    monkeypatch.setattr(module, "_COLUMNS", 16)
    pairs = np.concatenate(list(module._near(thumbnails, 20)))
    assert {tuple(pair) for pair in pairs.tolist()} == {(3, 40), (7, 41)}


def test_a_picture_that_cannot_be_read_is_alone(tmp_path):
    table = save(tmp_path, a=scene(1), b=scene(1))
    (tmp_path / "b.jpg").write_bytes(b"")
    assert near_duplicates(table, 50) == ["a.jpg", "b.jpg"]


def test_the_command_writes_what_the_config_reads(tmp_path, capsys):
    table = save(tmp_path, a=scene(1), b=scene(1), c=scene(2))
    assert command("groups", ["--images", str(tmp_path), "-o", str(tmp_path / "sources.csv")]) == 0
    assert "3 images of 2 sources\nlargest: a.jpg (2), c.jpg (1)" in capsys.readouterr().out
    assert Sources(file=str(tmp_path / "sources.csv")).add(table).strings("source") == ["a.jpg", "a.jpg", "c.jpg"]
    assert Sources(within=50).add(table).strings("source") == ["a.jpg", "a.jpg", "c.jpg"]


def test_a_sample_without_a_source_is_named(tmp_path):
    table = save(tmp_path, a=scene(1))
    (tmp_path / "sources.csv").write_text("id,source\nb.jpg,x\n")
    with pytest.raises(UserError, match=r"sources.csv: 1 samples have no source \(a.jpg\)"):
        Sources(file=str(tmp_path / "sources.csv")).add(table)


@pytest.mark.parametrize("values", [{}, {"within": 5, "file": "a.csv"}, {"within": 136}])
def test_sources_come_from_hashes_or_a_file(values):
    with pytest.raises(ValidationError):
        Sources.model_validate(values)
