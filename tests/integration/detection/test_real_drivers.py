"""The drivers data set itself, where it is at hand: what the reader, the grouping and the loader make of 1,265 real files."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from base.contracts import RunContext
from data_loader.prepare.section import build_loader
from laurel import command
from utils import config

ROOT = Path(__file__).parents[3]
DATASETS = Path(os.environ.get("LAUREL_DATASETS", ROOT.parent / "shared" / "datasets"))
DRIVERS = DATASETS / "drivers"
CLASSES = ["eye_closed", "eye_opened", "mouth_opened"]

pytestmark = pytest.mark.skipif(not DRIVERS.is_dir(), reason=f"{DRIVERS} is not there; LAUREL_DATASETS names another folder")


@pytest.fixture(scope="module")
def loader():
    args = {
        "data_dir": str(DRIVERS),
        "reader": {"type": "CompetitionJsonReader", "args": {"file": "train/labels.json", "root": "train/images"}},
        "test_reader": {"type": "PatternReader", "args": {"pattern": ".*", "root": "test/images"}},
        "classes": CLASSES,
        "sources": {"within": 50},
        "split": {"group": "source", "stratify": ["contents"], "valid": 0.1},
        "image_size": [128, 128],
        "batch_size": 16,
        "num_workers": 0,
        "cache_mb": 0,
    }
    values = {"data_loader": {"type": "DetectionLoader", "args": args}}
    made = build_loader(config.from_values(values, "drivers"), RunContext(seed=1))
    yield made
    made.close()


def test_every_object_is_read(loader):
    objects = Counter(
        name for side in ("train", "valid") for names in loader.table(side).columns["names"].to_pylist() for name in names
    )
    assert objects == {"eye_closed": 220, "eye_opened": 200, "mouth_opened": 858}
    assert len(loader.table("train")) + len(loader.table("valid")) == 1265 and len(loader.table("test")) == 300


def test_frames_of_one_source_are_on_one_side_and_every_class_on_both(loader):
    train, valid = (loader.table(side) for side in ("train", "valid"))
    assert not set(train.strings("source")) & set(valid.strings("source"))
    assert len(valid) == pytest.approx(126, abs=25)
    assert [line for line in loader.report() if line.startswith("warning")] == []


def test_a_batch_of_each_split_can_be_made(loader):
    batch = next(iter(loader.train(0)))
    assert batch["image"].shape[1:] == (3, 128, 128) and sum(map(len, batch["target"]["boxes"])) > 8
    for split in ("valid", "test"):
        _, batch = next(iter(loader.evaluation(split)))
        assert batch["geometry"].shape == (16, 2, 3) and max(batch["image"].shape[2:]) <= 128


def test_the_annotations_come_back_from_every_format(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    chain = ["competition", "yolo", "voc", "coco", "competition"]
    annotations = DRIVERS / "train" / "labels.json"
    for number, (source, target) in enumerate(itertools.pairwise(chain)):
        words = ["--from", source, "--annotations", annotations, "--to", target, "-o", tmp_path / str(number)]
        places = ["--images", DRIVERS / "train" / "images", "--names", tmp_path / "names.txt"]
        assert command("convert", [*map(str, [*words, *places])]) == 0
        annotations = tmp_path / str(number)
    before, after = (
        {entry["file_name"]: entry["objects"] for entry in json.loads(path.read_text())["annotations"]}
        for path in (DRIVERS / "train" / "labels.json", annotations)
    )
    assert after == before and np.sum([len(objects) for objects in after.values()]) == 1278
