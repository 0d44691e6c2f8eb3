"""Pictures from files, from the cache and from elsewhere are treated alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_loader.pictures.decode import ImageError, read_image
from data_loader.pictures.pictures import Pictures, Source
from tests.people import SIZE, settings_of, write_people


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_people(tmp_path / "people")


def test_a_cached_picture_is_read_once_and_one_without_a_place_each_time(folder: Path) -> None:
    pictures = Pictures(settings_of(folder))
    pictures.reserve(2)
    path = sorted((folder / "train").iterdir())[0]
    first = pictures.decoded(Source(path, None, 1))
    assert (first == read_image(path, SIZE)).all()
    path.unlink()
    assert (pictures.decoded(Source(path, None, 1)) == first).all()
    for place in (0, None):
        with pytest.raises(ImageError, match="is not there"):
            pictures.decoded(Source(path, None, place))


@pytest.mark.parametrize(("numbers", "cached"), [((2, 0), True), ((0, 2), False), ((2 * 10**6, 2), False)])
def test_only_the_first_call_decides_about_the_cache(folder: Path, numbers: tuple[int, ...], cached: bool) -> None:
    pictures = Pictures(settings_of(folder, cache_mb=1))
    for number in numbers:
        pictures.reserve(number)
    path = sorted((folder / "train").iterdir())[0]
    pictures.decoded(Source(path, None, 0))
    path.unlink()
    if cached:
        pictures.decoded(Source(path, None, 0))
    else:
        with pytest.raises(ImageError, match="is not there"):
            pictures.decoded(Source(path, None, 0))


def test_the_cache_holds_exactly_what_fits_into_its_megabytes(folder: Path) -> None:
    fits = 2**20 // (SIZE[0] * SIZE[1] * 3)
    for number, cached in ((fits, True), (fits + 1, False)):
        pictures = Pictures(settings_of(folder, cache_mb=1))
        pictures.reserve(number)
        assert (pictures._cache is not None) is cached


def test_a_picture_from_elsewhere_is_prepared_like_a_picture_of_the_data(folder: Path) -> None:
    pictures = Pictures(settings_of(folder))
    path = sorted((folder / "train").iterdir())[0]
    evaluated = pictures.evaluated(pictures.read(path))
    image, affine, note = pictures.preprocess(pictures.decode(path.read_bytes()))
    assert torch.equal(image, torch.from_numpy(evaluated.transpose(2, 0, 1).copy())) and note == ""
    assert affine.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_the_affine_leads_back_to_the_pixels_of_the_picture(folder: Path) -> None:
    pictures = Pictures(settings_of(folder))
    _, affine, _ = pictures.preprocess(np.zeros((48, 60, 3), np.uint8))
    corner = torch.tensor([SIZE[1], SIZE[0], 1.0])
    assert (affine @ corner).tolist() == [60, 48]
    assert pictures.evaluated_size() == SIZE
