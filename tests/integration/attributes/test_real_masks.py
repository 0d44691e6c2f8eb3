"""The masks data set itself, where it is at hand: what the reader, the split and the decoder make of 4,900 real files."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from base.contracts import RunContext
from data_loader.formats.csv_reader import CsvReader
from data_loader.pictures import scan
from data_loader.prepare.section import build_loader
from utils import config

ROOT = Path(__file__).parents[3]
DATASETS = Path(os.environ.get("LAUREL_DATASETS", ROOT.parent / "shared" / "datasets"))
MASKS = DATASETS / "masks"

pytestmark = pytest.mark.skipif(not MASKS.is_dir(), reason=f"{MASKS} is not there; LAUREL_DATASETS names another folder")


@pytest.fixture(scope="module")
def loader():
    changes = [f"data_loader.args.data_dir={MASKS}", "data_loader.args.num_workers=0"]
    made = build_loader(config.read(ROOT / "configs" / "masks.json", changes), RunContext(seed=1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def table(loader):
    return loader.samples.label(loader.samples.read()[0], "masks", required=True)


def test_there_are_7_pictures_of_each_of_700_people(table):
    people = Counter(table.strings("person"))
    assert len(table) == 4900 and len(people) == 700 and set(people.values()) == {7}


def test_labels_are_those_of_the_table_of_people(table):
    with (MASKS / "train" / "train.csv").open(newline="", encoding="utf-8") as file:
        people = {row["id"]: row for row in csv.DictReader(file)}
    assert set(table.strings("person")) == set(people)
    assert table.strings("raw:gender") == [people[person]["gender"] for person in table.strings("person")]
    assert table.strings("raw:age") == [people[person]["age"] for person in table.strings("person")]
    fold = {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 2}
    expected = [(age >= 30) + (age >= 60) for age in map(int, table.strings("raw:age"))]
    assert [fold[number] for number in table.numbers("age").tolist()] == expected
    assert Counter(table.numbers("mask").tolist()) == {0: 3500, 1: 700, 2: 700}


def test_no_person_is_in_training_and_validation(loader):
    train, valid = loader.table("train"), loader.table("valid")
    assert not set(train.strings("person")) & set(valid.strings("person"))
    assert len(train) + len(valid) == 4900 and len(valid) == pytest.approx(980, abs=14)
    assert [line for line in loader.report() if line.startswith("warning")] == []


def test_every_picture_can_be_decoded(table):
    assert Counter(scan.survey(table, (64, 48))) == {(64, 48): 4900}


def test_the_pictures_to_predict_are_those_of_the_sample_file(loader):
    with (MASKS / "eval" / "info.csv").open(newline="", encoding="utf-8") as file:
        names = [row["ImageID"] for row in csv.DictReader(file)]
    test = loader.table("test")
    assert len(test) == 2100 and test.ids() == sorted(names)
    assert scan.missing_files(test) == []


def test_the_table_of_people_is_a_table_of_samples_too():
    people = CsvReader("train/train.csv", path_column="path", root="train/images", id_column="id").read(MASKS)
    assert len(people) == 700 and people.path(0).is_dir()


def test_a_batch_has_the_shape_that_the_config_says(loader):
    batch = next(iter(loader.train(0)))
    assert batch["image"].shape[1:] == (3, 112, 84)
    assert {name: values.shape for name, values in batch["target"].items()} == {
        name: batch["index"].shape for name in ("mask", "gender", "age")
    }
