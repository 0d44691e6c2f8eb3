"""A picture's size from its first bytes is that of the decoded picture."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from data_loader.pictures.decode import ImageError, read_image
from data_loader.pictures.image_header import header_size, header_sizes, is_missing


def save(path, **options):
    picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    PIL.Image.fromarray(picture).save(path, **options)
    return str(path)


def turned(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff"])
def test_the_size_is_that_of_the_decoded_picture(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}")
    assert header_size(path) == read_image(tmp_path / f"a.{suffix}").shape[:2] == (30, 50)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_that_lies_on_its_side_is_measured_upright(tmp_path, suffix, orientation):
    path = save(tmp_path / f"a.{suffix}", exif=turned(orientation))
    assert header_size(path) == read_image(tmp_path / f"a.{suffix}").shape[:2]


def test_a_header_longer_than_what_is_read_first_is_read(tmp_path):
    path = save(tmp_path / "a.jpg", icc_profile=bytes(60_000))
    assert header_size(path) == (30, 50)


def test_what_is_no_picture_is_told_with_its_reason(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "c.jpg").mkdir()
    content = io.BytesIO()
    PIL.Image.new("1", (20_000, 20_000)).save(content, "png")
    (tmp_path / "d.png").write_bytes(content.getvalue())
    found = list(header_sizes([str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.png", "e.jpg")]))
    assert all(isinstance(reason, str) for reason in found)
    assert [is_missing(reason) for reason in found] == [False, False, False, False, True]


def test_a_jpeg_without_pixels_is_refused(tmp_path):
    path = save(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 2] = b"\0\0"
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match="has 50 x 0 pixels"):
        header_size(path)
