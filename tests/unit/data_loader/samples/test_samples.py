"""Samples are read at the first use of a split, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_loader.crop.crops import Crops
from tests.people import People, settings_of, write_people
from utils.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_people(tmp_path / "people")


def test_nothing_is_read_before_a_split_is_used(tmp_path: Path) -> None:
    samples = People(settings_of(tmp_path / "nowhere"))
    assert samples.number == 0 and samples.names == ("train", "valid", "test") and samples.group == "person"
    with pytest.raises(UserError, match="nowhere/train: is no folder"):
        samples.table("train")


def test_both_sides_are_read_once_and_stay_the_same_tables(folder: Path) -> None:
    samples = People(settings_of(folder))
    sides = samples.sides
    assert samples.table("train") is sides.train and samples.table("valid") is sides.valid and samples.sides is sides
    assert samples.divisions == 1 and samples.number == 24
    assert len(sides.train) + len(sides.valid) == 24 and not set(sides.train.strings("person")) & set(
        sides.valid.strings("person")
    )


def test_the_test_split_is_read_without_the_others(folder: Path) -> None:
    samples = People(settings_of(folder))
    assert samples.table("test").ids() == ["a.png", "b.png"]
    assert samples.source("test", 1) == (folder / "test" / "b.png", None, None)
    assert samples.number == 0


def test_the_cache_has_a_place_for_each_training_and_validation_sample(folder: Path) -> None:
    samples = People(settings_of(folder))
    places = [samples.source(split, row).place for split in ("train", "valid") for row in range(len(samples.table(split)))]
    assert places == list(range(24))


def test_an_unknown_split_and_one_that_is_not_configured_are_refused(folder: Path) -> None:
    samples = People(settings_of(folder))
    samples.test_reader = None
    assert samples.names == ("train", "valid")
    with pytest.raises(UserError, match="no split is called val; there are: train, valid, test"):
        samples.table("val")
    with pytest.raises(UserError, match="data_loader.args.test_reader: is not set"):
        samples.table("test")


def test_a_source_has_the_box_of_its_own_picture(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "train").iterdir())
    lines = [f"train/{name},{number % 5},1,{number % 5 + 6},9" for number, name in enumerate(names)]
    lines += [f"test/{name}.png,0,0,5,5" for name in "ab"]
    (folder / "boxes.csv").write_text("\n".join(["path,s_X,s_Y,e_X,e_Y", *lines]))
    samples = People(settings_of(folder), Crops(file="boxes.csv"))
    for split in ("valid", "train", "valid"):
        for row in range(len(samples.table(split))):
            path, box, _ = samples.source(split, row)
            left = names.index(path.name) % 5
            assert box == (left, 1, left + 6, 9)
    assert samples.source("test", 0).box == (0, 0, 5, 5)
    assert set(samples.fingerprint()) == {"data_loader.args.reader", "data_loader.args.crops"}


def test_unreadable_pictures_are_left_out_if_the_settings_say_so(folder: Path) -> None:
    broken = sorted((folder / "train").iterdir())[4]
    broken.write_bytes(b"")
    skipping = People(settings_of(folder, unreadable="skip"))
    assert skipping.number == 0 and skipping.sides.skipped == {broken.name: "is an empty file"} and skipping.number == 23
