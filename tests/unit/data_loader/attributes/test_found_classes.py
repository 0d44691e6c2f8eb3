"""Classes that the data tell: all texts of a column, kept in the checkpoint; labels that are removed; a label called person."""

from __future__ import annotations

import shutil

import pytest

import laurel
from base.contracts import RunContext
from data_loader.prepare.section import build_loader
from tests.attributes.tiny import write_config
from utils import config
from utils.config import ConfigError
from utils.errors import UserError

FOUND = {"classes": "data"}


def test_the_classes_are_the_texts_of_the_column_sorted(make_loader):
    loader = make_loader(labels={"shot": FOUND}, split={"valid": 0.25})
    assert loader.samples.spec.classes == {"shot": []}
    assert loader.spec.classes == {"shot": ["incorrect_mask", "mask", "normal"]} and sum(loader.spec.counts["shot"]) == 84
    assert set(loader.table("train").numbers("shot").tolist()) == {0, 1, 2}


def test_numbers_are_classes_in_their_order_and_an_empty_text_is_none(make_loader):
    ages = [int(text) for text in make_loader(labels={"age": FOUND}, split={"valid": 0.25}).spec.classes["age"]]
    assert ages == sorted(ages) and len(ages) > 2


def test_a_combined_label_has_the_classes_that_were_found(make_loader):
    labels = {"shot": FOUND, "gender": {"classes": ["male", "female"]}, "both": {"combine": ["shot", "gender"]}}
    loader = make_loader(labels=labels, split={"valid": 0.25})
    assert loader.spec.classes["both"][:2] == ["incorrect_mask, male", "incorrect_mask, female"]
    known = loader.spec
    again = build_loader(config.from_values(_values(labels), "c.json"), RunContext(spec=known))
    assert again.samples.spec.classes == known.classes  # without reading anything


def _values(labels):
    reader = {"type": "PatternReader", "args": {"pattern": "(?P<shot>.)(?P<gender>.).*"}}
    args = {"data_dir": "nowhere", "reader": reader, "labels": labels, "image_size": [32, 32], "split": {"valid": 0.2}}
    return {"data_loader": {"type": "AttributeLoader", "args": {**args, "batch_size": 2}}}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"classes": "dat"}, 'allowed: .*"?data'),
        ({"classes": "data", "values": {"a": "b"}}, 'classes "data" only without values and bins'),
        (None, "labels: found .*at least 1 item"),
    ],
)
def test_what_contradicts_classes_from_the_data_is_refused(label, message):
    with pytest.raises(ConfigError, match=message):
        build_loader(config.from_values(_values({"shot": label}), "c.json"), RunContext())


def test_a_column_that_always_says_the_same_has_no_classes(make_loader):
    with pytest.raises(UserError, match="label race: race says .*; two different texts are needed"):
        reader = {"type": "PatternReader", "args": {"root": "train/images", "pattern": "(?P<race>.).*"}}
        make_loader(labels={"race": FOUND}, split={"valid": 0.25}, reader=reader).table("train")


def test_null_removes_an_inherited_label(tiny_config, tmp_path):
    path = tiny_config({"data_loader.args.labels.mask": None, "loss.args.terms": {"mask": None}})
    assert laurel.command("train", ["-c", str(path), "--check"]) == 0
    loader = build_loader(config.read(path), RunContext())
    assert list(loader.spec.classes) == ["gender", "age"]


def test_a_label_may_be_called_person(make_loader):
    loader = make_loader(labels={"person": FOUND}, split={"stratify": ["person"], "valid": 0.25})
    assert len(loader.spec.classes["person"]) == 16 and len(loader.table("train")) == 84


def test_a_trained_model_knows_its_classes_without_the_training_data(masks_folder, tmp_path):
    folder = shutil.copytree(masks_folder, tmp_path / "data")
    test = {"type": "PatternReader", "args": {"root": "eval/images", "pattern": ".*"}}
    changes = {
        "data_loader.args.labels": {"mask": {"classes": "data", "values": None}, "gender": None, "age": None},
        "loss.args.terms": {"gender": None, "age": None},
        "data_loader.args.split": {"group": None, "stratify": []},
        "data_loader.args.test_reader": test,
        "trainer.epochs": 1,
        "submission": None,
    }
    run = laurel.train(write_config(tmp_path, folder, changes), device="cpu")
    shutil.rmtree(folder / "train")
    table = laurel.load(run).predict([next((folder / "eval" / "images").glob("*"))])
    assert set(table["mask"]) <= {"incorrect_mask", "mask", "normal"}
    assert laurel.evaluate(run, "test", output=tmp_path / "out") == {} and (tmp_path / "out" / "predictions.parquet").is_file()
