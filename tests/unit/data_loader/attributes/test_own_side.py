"""Validation samples of their own: read, corrected, labelled and looked at like samples that a split holds out."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from base.contracts import RunContext
from data_loader.image_loader import ImageLoader
from data_loader.prepare.examine import examine
from data_loader.prepare.section import build_loader
from laurel import command
from utils import config
from utils.config import ConfigError
from utils.errors import UserError

READER = {"type": "PatternReader", "args": {"pattern": r"(?P<kind>\w+)/(?P<who>\w+?)_\d\.png", "root": "train"}}
VALID = {"type": "PatternReader", "args": {**READER["args"], "root": "valid"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of eight pictures to train and four to validate on, of the same names on both sides."""
    rng = np.random.default_rng(0)
    for side, shots in (("train", 4), ("valid", 2)):
        for kind in ("cat", "dog"):
            (tmp_path / side / kind).mkdir(parents=True)
            for who in ("x", "y"):
                for shot in range(shots):
                    path = tmp_path / side / kind / f"{side if who == 'x' else 'z' + side}_{shot}.png"
                    cv2.imwrite(str(path), rng.integers(0, 256, (12, 10, 3), np.uint8))
    return tmp_path


def values(folder: Path, **changes: object) -> dict[str, object]:
    args = {
        "data_dir": str(folder),
        "reader": READER,
        "valid_reader": VALID,
        "labels": {"kind": {"classes": ["cat", "dog"]}},
        "image_size": [12, 12],
        "batch_size": 4,
        "num_workers": 0,
        **changes,
    }
    return {"name": "own", "data_loader": {"type": "AttributeLoader", "args": args}}


def made(folder: Path, **changes: object) -> ImageLoader:
    loader = build_loader(config.from_values(values(folder, **changes), "own.json"), RunContext())
    assert isinstance(loader, ImageLoader)
    return loader


def test_every_sample_of_the_reader_is_trained_on_and_every_sample_of_valid_reader_is_validated_on(folder):
    loader = made(folder)
    assert len(loader.table("train")) == 16 and len(loader.table("valid")) == 8
    assert loader.table("valid").root == folder / "valid" and loader.table("valid").numbers("kind").tolist() == [0] * 4 + [1] * 4
    assert loader.report()[0].startswith("16 training and 8 validation samples (a set of its own, split ")
    assert [len(rows) for rows in loader.evaluation_order("valid")] == [4, 4]
    assert next(iter(loader.evaluation("valid")))[1]["target"]["kind"].tolist() == [0] * 4


def test_the_fingerprint_and_the_hash_cover_the_side_of_its_own(folder):
    before = made(folder)
    fingerprint, split_hash = before.fingerprint(), before.split_hash
    (folder / "valid" / "cat" / "valid_0.png").unlink()
    assert made(folder).fingerprint() != fingerprint and made(folder).split_hash != split_hash


def test_a_file_on_both_sides_is_refused_unless_it_is_allowed(folder):
    shutil.copy(folder / "train/cat/train_0.png", folder / "valid/cat/valid_0.png")
    with pytest.raises(UserError, match=r"1 files of the validation side.*args\.split\.check_bytes=false"):
        made(folder).table("valid")
    assert len(made(folder, split={"check_bytes": False}).table("valid")) == 8


def test_a_person_on_both_sides_is_refused_if_the_split_names_the_group(folder):
    (folder / "valid/cat/valid_0.png").rename(folder / "valid/cat/train_9.png")
    assert len(made(folder).table("valid")) == 8
    with pytest.raises(UserError, match=r"1 values of who on both sides \(train\); take these people out of one side"):
        made(folder, split={"group": "who"}).table("valid")


def test_corrections_reach_both_sides(folder):
    file = folder / "corrections.csv"
    file.write_text("where,is,set,to\nwho,zvalid,kind,cat\nwho,ztrain,exclude,\n")
    loader = made(folder, corrections=str(file))
    assert len(loader.table("train")) == 8 and loader.table("valid").numbers("kind").sum() == 2
    file.write_text("where,is,set,to\nwho,nobody,kind,cat\n")
    with pytest.raises(UserError, match="no sample has who = nobody"):
        made(folder, corrections=str(file)).table("train")


def test_a_picture_of_the_side_that_cannot_be_read_is_left_out_if_the_settings_say_so(folder):
    (folder / "valid/dog/valid_1.png").write_bytes(b"")
    loader = made(folder, unreadable="skip")
    assert len(loader.table("valid")) == 7 and loader.samples.sides.skipped == {"dog/valid_1.png": "is an empty file"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"valid": 0.2}}, "split: found valid_reader and split.valid; allowed: one of"),
        ({"valid_reader": None}, "split: found none; allowed: one of"),
        ({"valid_reader": None, "split": {"group": "who"}}, "split: found none; allowed: one of"),
        ({"split": {"stratify": ["kind"]}}, "split.stratify: has no use beside valid_reader"),
        ({"valid_reader": None, "split": {"column": "sid", "train": ["a"], "valid": ["b"]}}, "split.column: the reader gives no"),
    ],
)
def test_exactly_one_way_says_what_is_validated_on(folder, changes, message):
    with pytest.raises(ConfigError, match=message):
        made(folder, **changes)


def test_the_check_counts_both_sides_and_names_what_training_would_refuse(folder):
    report = examine(made(folder).samples)
    assert report.usable and report.samples == {"all": 16, "train": 16, "valid": 8}
    assert report.labels == {
        "kind": {**{n: {"train": 8, "valid": 4} for n in ("cat", "dog")}, "(unknown)": {"train": 0, "valid": 0}}
    }
    (folder / "valid/dog/valid_1.png").write_bytes(b"")
    assert not examine(made(folder).samples).usable


def test_a_missing_test_set_is_said_and_stops_nothing(folder, capsys):
    reader = {"type": "CsvReader", "args": {"file": "test.csv", "path_column": "file"}}
    report = examine(made(folder, test_reader=reader).samples)
    assert report.usable and len(made(folder, test_reader=reader).table("train")) == 16
    assert "there is no test set for data_loader.args.test_reader" in report.warnings[-1] and "test.csv" in report.warnings[-1]


def test_folds_of_a_side_of_its_own_are_refused_with_the_reason(folder, tiny_config):
    given = tiny_config({"data_loader.args.split": None, "data_loader.args.valid_reader": VALID})
    with pytest.raises(UserError, match=r"no folds: validation is a side of its own \(data_loader\.args\.valid_reader\)"):
        command("train", ["-c", str(given), "--folds", "all"])


def test_check_says_that_the_test_set_is_not_there(folder, tiny_config, capsys):
    given = tiny_config({"data_loader.args.data_dir": str(folder)})
    assert command("train", ["-c", str(given), "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and f"{folder}/eval/info.csv is not there" in lines[1] and "training does not need" in lines[1]


def test_the_app_shows_both_sides_in_one_table(folder):
    from inspection.dataset import Data, everything

    loader = made(folder)
    table = everything(Data(loader, loader.samples, loader.batches))
    assert len(table) == 24 and all(table.path(row).is_file() for row in range(24)) and table.root == folder
