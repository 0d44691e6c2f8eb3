"""Batches of pictures with boxes: of any seed, epoch and number of workers the same, and every box on its object."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from itertools import chain

import cv2
import numpy as np
import pytest
import torch

from base.contracts import RunContext
from data_loader.batches.stream import BatchKey
from data_loader.detection.loader import DetectionLoader
from data_loader.prepare.examine import examine
from data_loader.prepare.section import build_loader
from tests.unit.data_loader.detection.test_boxes_follow import COLOURS, assert_on_objects, drawn, pixels
from utils import config
from utils.config import ConfigError
from utils.errors import UserError

NAMES = ["red", "green", "blue", "yellow", "magenta", "cyan"]
PICTURES = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of many shapes with rectangles in the colour of their class, and four to predict."""
    made, entries = tmp_path_factory.mktemp("colours"), []
    (made / "train").mkdir()
    (made / "test").mkdir()
    rng = np.random.default_rng(0)
    for row in range(PICTURES + 4):
        side = "train" if row < PICTURES else "test"
        numbers = rng.choice(len(COLOURS), rng.integers(0, 4), replace=False)
        picture, boxes = drawn(int(rng.integers(60, 200)), int(rng.integers(60, 200)), numbers.tolist(), rng)
        cv2.imwrite(str(made / side / f"{row:02}.png"), picture[:, :, ::-1])
        objects = [{"class": NAMES[number], "position": box} for number, box in zip(numbers, boxes.tolist(), strict=True)]
        if side == "train":
            entries.append({"file_name": f"{row:02}.png", "objects": objects})
    (made / "labels.json").write_text(json.dumps({"annotations": entries}))
    return made


@pytest.fixture
def make(folder):
    """`make(mosaic={}, …)` is a loader of the coloured pictures."""
    made = []

    def loader(seed=1, data_dir=folder, **changes):
        args = {
            "data_dir": str(data_dir),
            "reader": {"type": "CompetitionJsonReader", "args": {"file": "labels.json", "root": "train"}},
            "test_reader": {"type": "PatternReader", "args": {"pattern": ".*", "root": "test"}},
            "classes": [NAMES[number] for number in range(len(COLOURS))],
            "split": {"valid": 0.25, "check_bytes": False},
            "image_size": [96, 128],
            "batch_size": 5,
            "boxes": {"min_area": 0, "min_visibility": 0},
            "num_workers": 0,
        }
        values = {"data_loader": {"type": "DetectionLoader", "args": args | changes}}
        built = build_loader(config.from_values(values, "colours.json"), RunContext(seed))
        assert isinstance(built, DetectionLoader)
        made.append(built)
        return built

    yield loader
    for one in made:
        one.close()


def samples(batches):
    """(picture, boxes, labels) of every sample."""
    for batch in batches:
        target = batch["target"]
        for image, boxes, labels in zip(batch["image"], target["boxes"], target["labels"], strict=True):
            assert boxes.dtype == torch.float32 and labels.dtype == torch.int64 and boxes.shape == (len(labels), 4)
            yield image.permute(1, 2, 0).numpy(), boxes.double().numpy(), labels.numpy()


def digest(batches):
    found = []
    for batch in batches:
        one = hashlib.sha256(batch["image"].contiguous().numpy().tobytes() + batch["index"].numpy().tobytes())
        for values in (*batch["target"].get("boxes", []), *batch["target"].get("labels", []), batch.get("geometry")):
            one.update(b"" if values is None else values.numpy().tobytes())
        found.append(one.hexdigest())
    return found


FLIP = {"type": "HorizontalFlip"}
TURN = {"type": "Affine", "args": {"rotate": [-12, 12], "translate_percent": [-0.1, 0.1], "fill": 114, "p": 1.0}}
EVERYTHING = {"mosaic": {"p": 0.5}, "multi_scale": [0.5, 1.5], "train_transforms": [FLIP, TURN]}


# Boxes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mosaic": {}},
        {"multi_scale": [0.5, 1.5]},
        {"train_transforms": [FLIP]},
        {"mosaic": {"scale": [0.3, 1.5]}, "cache_mb": 0},
    ],
    ids=str,
)
def test_every_box_of_a_training_batch_is_on_its_object(make, changes):
    loader = make(**changes)
    for epoch in range(6):
        for picture, boxes, labels in samples(loader.train(epoch)):
            assert_on_objects(picture, boxes, labels, 2.0)


def test_every_box_of_a_turned_training_batch_is_on_its_object(make):
    loader = make(**EVERYTHING)
    for epoch in range(6):
        for picture, boxes, labels in samples(loader.train(epoch)):
            assert_on_objects(picture, boxes, labels, 2.5, tilted=True)


@pytest.mark.parametrize("rectangular", [True, False])
def test_boxes_of_evaluation_are_on_their_objects_and_lead_back_to_the_originals(make, rectangular):
    loader = make(rectangular=rectangular)
    table, seen = loader.table("valid"), []
    for number, batch in loader.evaluation("valid"):
        assert batch["index"].tolist() == loader.evaluation_order("valid")[number].tolist()
        for picture, boxes, labels in samples([batch]):
            assert_on_objects(picture, boxes, labels, 2.0)
        for row, boxes, affine in zip(batch["index"].tolist(), batch["target"]["boxes"], batch["geometry"], strict=True):
            corners = torch.cat([boxes.reshape(-1, 2), torch.ones(2 * len(boxes), 1)], dim=1) @ affine.T
            np.testing.assert_allclose(corners.reshape(-1, 4), np.array(table.values("boxes", row)).reshape(-1, 4), atol=1e-3)
            seen.append(row)
    assert sorted(seen) == list(range(len(table)))


@pytest.mark.parametrize("size", [(40, 50), (96, 128), (130, 171), (300, 90), (500, 700)])
def test_the_lines_of_the_recipe_do_what_preprocess_does(make, size):
    pictures = make(rectangular=False).pictures
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    space = {"cv2": cv2, "np": np, "picture": picture}
    exec("\n".join(pictures.recipe()), space)
    assert (space["image"] == pictures.preprocess(picture).image.permute(1, 2, 0).numpy()).all()


def test_preprocess_is_what_evaluation_does_with_a_picture_alone(make):
    loader = make(batch_size=1)
    for _, batch in loader.evaluation("valid"):
        row = int(batch["index"])
        image, affine, _ = loader.pictures.preprocess(loader.pictures.decode(loader.table("valid").path(row).read_bytes()))
        assert torch.equal(image, batch["image"][0]) and torch.equal(affine, batch["geometry"][0])


def test_figures_show_the_original_in_whose_pixels_the_boxes_are(make):
    loader = make()
    table, objects = loader.table("valid"), 0
    for row in range(len(table)):
        picture = loader.picture("valid", row)
        assert picture.shape[:2] == (table.values("height", row), table.values("width", row))
        for name, (x1, y1, x2, y2) in zip(table.values("names", row), table.values("boxes", row), strict=True):
            assert pixels(picture, NAMES.index(name))[int(y1) : int(y2), int(x1) : int(x2)].all()
            objects += 1
    assert objects > 3


def test_a_sample_whose_boxes_are_all_cut_off_stays(make):
    loader = make(boxes={"min_area": 1e9})
    found = list(samples(loader.train(0)))
    assert len(found) == len(loader.table("train")) and not any(len(boxes) for _, boxes, _ in found)


# The same batches ---------------------------------------------------------------------------------------------------


def test_batches_depend_neither_on_workers_nor_on_the_cache_nor_on_where_an_epoch_begins(make):
    expected = [digest(make(**EVERYTHING).train(epoch)) for epoch in (0, 1)]
    assert expected[0] != expected[1]
    for changes in ({"num_workers": 2}, {"cache_mb": 0}):
        loader = make(**EVERYTHING, **changes)
        assert [digest(loader.train(epoch)) for epoch in (0, 1)] == expected
        assert digest(loader.train(1, 2)) == expected[1][2:]


def test_the_size_of_a_batch_is_a_function_of_its_number_and_a_multiple(make):
    loader = make(multi_scale=[0.5, 1.5])
    sizes = [tuple(batch["image"].shape[2:]) for epoch in range(5) for batch in loader.train(epoch)]
    assert len(set(sizes)) > 3 and all(side % 32 == 0 and 32 <= side <= 192 for size in sizes for side in size)
    keys = [
        BatchKey("train", epoch, np.zeros(0), np.zeros(0), number) for epoch in range(5) for number in range(len(loader.order(0)))
    ]
    assert [loader.batches.frame(key) for key in keys] == sizes


def test_rectangular_batches_hold_fewer_pixels_and_every_sample_once(make):
    def pixels_of(loader):
        return sum(batch["image"][:, 0].numel() for _, batch in loader.evaluation("valid"))

    square, rectangular = make(rectangular=False), make(batch_size=2)
    assert pixels_of(rectangular) < pixels_of(square)
    assert {tuple(batch["image"].shape[2:]) for _, batch in square.evaluation("valid")} == {(96, 128)}
    rows = np.concatenate(rectangular.evaluation_order("valid"))
    assert sorted(rows.tolist()) == list(range(len(rectangular.table("valid"))))


def test_training_samples_too_are_evaluated_without_augmentation_and_with_their_boxes(make):
    loader = make(**EVERYTHING)
    for _, batch in loader.evaluation("train"):
        target = batch["target"]
        for row, boxes, affine in zip(batch["index"].tolist(), target["boxes"], batch["geometry"], strict=True):
            original = loader.pictures.preprocess(loader.picture("train", row)).affine
            assert original[0, 0] == affine[0, 0] and len(boxes) == len(loader.table("train").values("classes", row))


def test_images_are_channels_last(make):
    for batch in (*make().train(0), *(batch for _, batch in make().evaluation("valid"))):
        assert batch["image"].is_contiguous(memory_format=torch.channels_last) and batch["image"].dtype == torch.uint8


# Test samples -------------------------------------------------------------------------------------------------------


def test_test_samples_have_geometry_and_no_targets(make):
    loader = make()
    assert not loader.labelled("test")
    batches = [batch for _, batch in loader.evaluation("test")]
    assert sum(len(batch["index"]) for batch in batches) == 4
    assert all(batch["target"] == {} and batch["geometry"].shape == (len(batch["index"]), 2, 3) for batch in batches)


def test_a_test_picture_that_cannot_be_read_is_a_row_with_its_error(make, folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy")
    (copied / "test" / f"{PICTURES}.png").write_bytes(b"nothing")
    loader = make(data_dir=copied)
    errors = [error for _, batch in loader.evaluation("test") for error in batch["error"]]
    assert len(errors) == 4 and sum("no picture" in error for error in errors) == 1


# Samples ------------------------------------------------------------------------------------------------------------


def test_a_subset_is_of_training_samples_only(make):
    whole, part = make(), make(subset=[{"any": ["red"]}, {"all": ["green", "blue"], "keep_every": 2}])
    assert part.table("valid").ids() == whole.table("valid").ids()
    assert set(part.table("train").ids()) < set(whole.table("train").ids())
    assert any(
        line.startswith(f"subset: {len(whole.table('train'))} -> {len(part.table('train'))} training") for line in part.report()
    )
    assert part.spec.counts["object"][0] == whole.spec.counts["object"][0]


def test_the_report_and_the_spec_count_objects_by_class(make):
    loader = make()
    counts = dict(zip(NAMES, loader.spec.counts["object"], strict=True))
    names = [name for row in loader.table("train").columns["names"].to_pylist() for name in row]
    assert counts == {name: names.count(name) for name in NAMES}
    numbers = [number for row in loader.table("train").columns["classes"].to_pylist() for number in row]
    assert [NAMES[number] for number in numbers] == names
    assert loader.spec.classes == {"object": NAMES} and loader.spec.image_size is None
    assert any(line.startswith(f"objects to train and to validate on: red {counts['red']} and ") for line in loader.report())


def test_near_duplicates_stay_on_one_side(make, folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy")
    entries = json.loads((copied / "labels.json").read_text())["annotations"]
    for entry in entries[:8]:
        picture = cv2.imread(str(copied / "train" / entry["file_name"]))
        cv2.imwrite(str(copied / "train" / f"again-{entry['file_name']}"), cv2.resize(picture, None, fx=1.5, fy=1.5))
        entries.append({"file_name": f"again-{entry['file_name']}", "objects": []})
    (copied / "labels.json").write_text(json.dumps({"annotations": entries}))
    loader = make(data_dir=copied, sources={"within": 10}, split={"valid": 0.25, "group": "source", "stratify": ["contents"]})
    for side in ("train", "valid"):
        ids = set(loader.table(side).ids())
        assert {name.removeprefix("again-") for name in ids if name.startswith("again-")} <= ids


def test_clipped_and_dropped_boxes_are_told(make, folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy")
    entries = json.loads((copied / "labels.json").read_text())["annotations"]
    entries[0]["objects"] = [{"class": "red", "position": [-5, 1, 10, 10]}, {"class": "red", "position": [9, 1, 1, 9]}]
    (copied / "labels.json").write_text(json.dumps({"annotations": entries}))
    reader = {"type": "CompetitionJsonReader", "args": {"file": "labels.json", "root": "train", "invalid": "drop"}}
    lines = [line for line in make(data_dir=copied, reader=reader).report() if "boxes clipped" in line or "left out" in line]
    assert lines == [
        f"warning: 1 boxes clipped to their picture ({entries[0]['file_name']})",
        f"warning: 1 objects left out that have a box with swapped corners ({entries[0]['file_name']})",
    ]
    with pytest.raises(UserError, match="labels.json: line 1: annotations.0..objects.1"):
        make(data_dir=copied).table("train")


def test_an_unknown_class_is_named_by_line(make):
    with pytest.raises(UserError, match=r'labels.json: line 1: .* is of an unknown class "cyan"; allowed: red, green'):
        make(classes=NAMES[:-1]).table("train")


def test_a_class_that_nobody_shows_is_told(make):
    lines = make(classes=[*NAMES, "white"]).report()
    for side in ("training", "validation"):
        assert any(line.startswith(f"warning: no {side} sample shows any ") and line.endswith("white") for line in lines)


def test_loaders_of_different_subsets_share_a_split(make):
    some = (
        make(subset=[{"any": ["red"]}])
        if "red" in make().samples.classes
        else make(subset=[{"any": [make().samples.classes[0]]}])
    )
    assert len(some.table("train")) < len(make().table("train"))
    assert some.split_hash == make().split_hash


def test_a_subset_of_nothing_is_refused(make):
    with pytest.raises(UserError, match="data_loader.args.subset: leaves no training sample"):
        make(classes=[*NAMES, "white"], subset=[{"any": ["white"]}]).table("train")


def test_a_transform_that_changes_the_frame_is_refused(make):
    crop = {"type": "RandomCrop", "args": {"height": 32, "width": 32}}
    with pytest.raises(UserError, match="train_transforms: give pictures of 32 x 32 pixels for a frame of 96 x 128"):
        list(make(train_transforms=[crop]).train(0))


def test_corrections_may_exclude_pictures_but_not_change_their_boxes(make, tmp_path):
    path = tmp_path / "corrections.csv"
    path.write_text("where,is,set,to\nid,00.png,exclude,\n")
    assert "00.png" not in [name for side in ("train", "valid") for name in make(corrections=str(path)).table(side).ids()]
    path.write_text("where,is,set,to\nid,00.png,boxes,x\n")
    with pytest.raises(UserError, match="line 2: boxes cannot be changed"):
        make(corrections=str(path)).table("train")


def test_a_data_set_is_examined_and_its_objects_counted_by_class_and_side(make):
    loader = make()
    report = examine(loader.samples)
    assert report.usable and report.samples["test"] == 4
    sides = [Counter(chain.from_iterable(loader.table(side).columns["names"].to_pylist())) for side in ("train", "valid")]
    assert report.labels == {
        "object": {name: {"train": sides[0][name], "valid": sides[1][name]} for name in loader.samples.classes}
    }
    assert f"  red     {sides[0]['red']:>10} {sides[1]['red']:>10}" in report.text()


def test_a_class_that_a_side_lacks_is_warned_of_in_the_examination(make):
    report = examine(make(split={"valid": 0.05, "check_bytes": False}).samples)
    assert any(line.startswith("no sample to validate shows any") for line in report.warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["red", "red"]}, "classes: found red twice"),
        ({"image_size": [100, 128]}, "image_size: found 100; allowed: multiples of 32"),
        ({"multi_scale": [1.5, 0.5]}, "multi_scale: allowed: two numbers of which the first"),
        ({"subset": [{"any": ["redd"]}]}, r'subset\[0\]: no class redd \(did you mean "red"\?\)'),
        ({"split": {"valid": 0.2, "group": "source"}}, "split.group: there is no column source"),
        (
            {"split": {"valid": 0.2, "stratify": ["content"]}},
            r'split.stratify\[0\]: there is no column content \(did you mean "contents"',
        ),
        ({"reader": {"type": "PatternReader", "args": {"pattern": ".*"}}}, "reader: PatternReader gives no boxes"),
        (
            {"train_transforms": [{"type": "ThinPlateSpline"}]},
            r"train_transforms\[0\]: found ThinPlateSpline, which moves objects",
        ),
        ({"mosaic": {"scale": [1.0, 0.5]}}, "mosaic: .*a scale whose first number is not above the second"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_a_file_is_read(make, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(data_dir="nowhere", **changes)


def test_validation_boxes_may_come_from_a_reader_of_their_own(make, folder):
    entries = json.loads((folder / "labels.json").read_text())["annotations"]
    for name, part in (("some.json", entries[:20]), ("others.json", entries[20:])):
        (folder / name).write_text(json.dumps({"annotations": part}))
    readers = [{"type": "CompetitionJsonReader", "args": {"file": f"{n}.json", "root": "train"}} for n in ("some", "others")]
    loader = make(reader=readers[0], valid_reader=readers[1], split={"check_bytes": False})
    assert len(loader.table("train")) == 20 and len(loader.table("valid")) == 4
    assert loader.samples.labelled("valid") and len(list(samples(batch for _, batch in loader.evaluation("valid")))) == 4
