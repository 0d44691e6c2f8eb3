"""Pictures from elsewhere are cut by the croppers, as those of the data are cut by their boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_loader.crop.croppers import BaseCropper, CropperBoxes
from data_loader.crop.crops import Crops
from data_loader.crop.cut_pictures import NO_CROPPERS, CutPictures, CutPictureSettings
from data_loader.pictures.decode import read_image, resize
from tests.people import SIZE, write_people

IMAGE = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
FILE = Crops(file="boxes.csv", margin=0.25, min_size=4)


class Always(BaseCropper):
    """Finds the same boxes in any picture."""

    def __init__(self, *boxes: tuple[int, int, int, int]) -> None:
        self.boxes = np.array(boxes, float).reshape(-1, 4)

    def find(self, image: np.ndarray) -> CropperBoxes:
        return CropperBoxes(self.boxes, np.ones(len(self.boxes)))


def pictures(**changes: Any) -> CutPictures:
    return CutPictures(CutPictureSettings(image_size=SIZE, **changes))


def test_a_picture_is_cut_to_the_box_of_a_cropper_with_its_margin() -> None:
    cut = pictures(crops=FILE, croppers=[Always((10, 4, 30, 20))])
    box, note = cut.found(IMAGE)
    assert (box, note) == ((5, 0, 35, 24), "cut to what Always finds")
    image, affine, note = cut.preprocess(IMAGE)
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(resize(IMAGE[0:24, 5:35], SIZE)))
    assert note == "cut to what Always finds"
    assert (affine @ torch.tensor([0.0, 0, 1])).tolist() == [5, 0]
    assert (affine @ torch.tensor([12.0, 16, 1])).tolist() == [35, 24]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, ""), ({"crops": FILE}, NO_CROPPERS),
        ({"crops": FILE, "croppers": [Always()]}, "not cut: no cropper finds anything in it"),
    ],
)  # fmt: skip
def test_a_picture_stays_whole_and_the_note_says_why(changes: Any, note: str) -> None:
    cut = pictures(**changes)
    assert cut.found(IMAGE) == ((0, 0, 60, 40), note)
    assert torch.equal(cut.preprocess(IMAGE).image.permute(1, 2, 0), torch.from_numpy(resize(IMAGE, SIZE)))


def test_a_picture_that_is_to_be_cut_is_decoded_at_its_own_size(tmp_path: Path) -> None:
    path = write_people(tmp_path) / "test" / "a.png"
    assert pictures().decode(path.read_bytes()).shape == (*SIZE, 3)
    assert (pictures(crops=FILE).decode(path.read_bytes()) == read_image(path)).all()


def test_what_is_cut_is_described_only_if_pictures_are_cut() -> None:
    assert "crops" not in pictures().preprocessing()
    described = pictures(crops=FILE, croppers=[Always()]).preprocessing()["crops"]
    assert (described["file"], described["margin"], described["croppers"]) == ("boxes.csv", 0.25, ["Always"])
