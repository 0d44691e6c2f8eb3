"""Batches are a function of seed, epoch and sample, whoever makes them, from wherever; nothing is left out unsaid."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_loader.pictures.decode import read_image
from utils.config import ConfigError
from utils.errors import RunError, UserError


def digest(batches):
    """One hash per batch, over pictures, targets and rows."""
    found = []
    for batch in batches:
        one = hashlib.sha256(batch["image"].contiguous().numpy().tobytes() + batch["index"].numpy().tobytes())
        for name, values in sorted(batch["target"].items()):
            one.update(name.encode() + values.numpy().tobytes())
        found.append(one.hexdigest())
    return found


def rows_of(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


@pytest.fixture
def copied(masks_folder, tmp_path):
    """A data set of its own, to damage."""
    return Path(shutil.copytree(masks_folder, tmp_path / "masks"))


def pictures(folder):
    return sorted((folder / "train" / "images").rglob("*.jpg"))


# The same batches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_of_two_epochs_do_not_depend_on_the_number_of_workers(make_loader, workers):
    alone, helped = make_loader(), make_loader(num_workers=workers)
    assert [digest(alone.train(epoch)) for epoch in (0, 1)] == [digest(helped.train(epoch)) for epoch in (0, 1)]
    assert digest(b for _, b in alone.evaluation("valid")) == digest(b for _, b in helped.evaluation("valid"))


def test_the_same_sample_is_augmented_differently_in_every_epoch(make_loader):
    loader = make_loader()
    first, second = (
        {row: image for batch in loader.train(epoch) for row, image in zip(batch["index"].tolist(), batch["image"], strict=True)}
        for epoch in (0, 1)
    )
    assert first.keys() == second.keys()
    assert sum(not torch.equal(first[row], second[row]) for row in first) > 0.9 * len(first)


def test_another_seed_gives_other_batches_of_the_same_split(make_loader):
    one, other = make_loader(seed=1), make_loader(seed=2)
    assert one.split_hash == other.split_hash
    assert digest(one.train(0)) != digest(other.train(0))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 3, 6])
def test_starting_at_a_batch_gives_exactly_the_later_ones(make_loader, start, workers):
    loader = make_loader(num_workers=workers)
    assert digest(loader.train(2, start)) == digest(make_loader().train(2))[start:]


def test_batches_from_the_cache_are_those_from_the_files(make_loader):
    cached, uncached = make_loader(), make_loader(cache_mb=0)
    for _ in range(2):
        assert digest(cached.train(0)) == digest(uncached.train(0))
    assert cached.pictures._cache is not None and uncached.pictures._cache is None


def test_each_file_is_decoded_once_if_the_pictures_fit_in_memory(make_loader, copied):
    loader = make_loader(data_dir=str(copied))
    first = digest(loader.train(0))
    for path in pictures(copied):
        path.unlink()
    assert digest(loader.train(0)) == first


def test_a_sample_that_an_epoch_draws_twice_is_augmented_twice(make_loader):
    loader = make_loader(sampler={"type": "WeightedSampler", "args": {"label": "mask", "weights": [0, 1, 0]}})
    seen = {}
    for batch in loader.train(0):
        for row, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            seen.setdefault(row, []).append(image.numpy().tobytes())
    repeated = [images for images in seen.values() if len(images) > 2]
    assert repeated and all(len(set(images)) > 1 for images in repeated)


# What a batch is ----------------------------------------------------------------------------------------------------


def test_a_batch_is_uint8_in_channels_last_memory_with_its_targets(make_loader):
    loader = make_loader()
    batch = next(iter(loader.train(0)))
    assert batch["image"].shape == (len(batch["index"]), 3, 28, 24)
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert list(batch["target"]) == ["mask", "gender", "age"]
    table = loader.table("train")
    for name, values in batch["target"].items():
        assert values.dtype == torch.int64
        assert values.tolist() == table.numbers(name)[batch["index"]].tolist()


def test_a_batch_survives_pickling(make_loader):
    batch = next(iter(make_loader().train(0)))
    assert digest([pickle.loads(pickle.dumps(batch))]) == digest([batch])


def test_an_epoch_shows_every_training_sample_once_in_even_batches(make_loader):
    loader = make_loader()
    batches = list(loader.train(0))
    assert sorted(rows_of(batches)) == list(range(len(loader.table("train"))))
    sizes = {len(batch["index"]) for batch in batches}
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= 16


def test_evaluation_shows_every_sample_in_order_of_id(make_loader):
    loader = make_loader()
    numbered = list(loader.evaluation("valid"))
    assert [number for number, _ in numbered] == list(range(len(numbered)))
    assert rows_of(batch for _, batch in numbered) == list(range(len(loader.table("valid"))))
    assert loader.table("valid").ids() == sorted(loader.table("valid").ids())


def test_evaluation_never_meets_the_training_transforms(make_loader):
    loader = make_loader(train_transforms=[{"type": "InvertImg", "args": {"p": 1.0}}])
    table, (_, batch) = loader.table("valid"), next(iter(loader.evaluation("valid")))
    for row, image in zip(batch["index"].tolist(), batch["image"], strict=True):
        assert (image.permute(1, 2, 0).numpy() == read_image(table.path(row), (28, 24))).all()


def test_training_samples_too_are_evaluated_without_the_training_transforms(make_loader):
    loader = make_loader(train_transforms=[{"type": "InvertImg", "args": {"p": 1.0}}])
    _, batch = next(iter(loader.evaluation("train")))
    assert (loader.picture("train", 3) == batch["image"][3].permute(1, 2, 0).numpy()).all()
    assert batch["target"]["mask"].tolist() == loader.table("train").numbers("mask")[: len(batch["index"])].tolist()


def test_evaluation_meets_its_own_transforms_as_app_and_figures_do(make_loader):
    loader = make_loader(eval_transforms=[{"type": "CenterCrop", "args": {"height": 20, "width": 20}}])
    _, batch = next(iter(loader.evaluation("valid")))
    assert batch["image"].shape[2:] == (20, 20)
    assert (loader.picture("valid", 0) == batch["image"][0].permute(1, 2, 0).numpy()).all()
    whole = read_image(loader.table("valid").path(0))
    assert torch.equal(loader.pictures.preprocess(whole)[0], batch["image"][0])


def test_pictures_to_predict_come_without_targets_and_with_room_for_errors(make_loader):
    loader = make_loader()
    batches = [batch for _, batch in loader.evaluation("test")]
    assert sum(len(batch["index"]) for batch in batches) == 28
    assert all(batch["target"] == {} and set(batch["error"]) == {""} for batch in batches)


def test_transforms_that_give_different_sizes_are_refused_in_one_line(make_loader):
    loader = make_loader(train_transforms=[{"type": "RandomScale", "args": {"p": 1.0}}], num_workers=1)
    with pytest.raises(UserError, match=r"pictures of different sizes \(\d+ x \d+, .*\); end with a crop or resize") as refusal:
        list(loader.train(0))
    assert "\n" not in str(refusal.value)


# Files that cannot be read ------------------------------------------------------------------------------------------


def damage(folder):
    """Spoil the first bytes of two files, and empty a third one; their paths."""
    paths = [pictures(folder)[number] for number in (3, 40, 77)]
    for path in paths[:2]:
        path.write_bytes(b"no picture" + path.read_bytes()[10:])
    paths[2].write_bytes(b"")
    return paths


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_files_are_all_named_with_their_reasons(make_loader, copied, workers):
    paths = damage(copied)
    loader = make_loader(data_dir=str(copied), num_workers=workers)
    with pytest.raises(UserError) as refusal:
        list(loader.train(0))
        list(loader.evaluation("valid"))
    head, *lines = str(refusal.value).splitlines()
    assert head.startswith("3 of 112 images cannot be read; mend or remove them, or set data_loader.args.unreadable=")
    reasons = ["is no picture in a known format", "is no picture in a known format", "is an empty file"]
    expected = sorted(f"{path}: {reason}" for path, reason in zip(paths, reasons, strict=True))
    assert [line.partition(" (")[0] for line in sorted(lines)] == expected


def test_a_file_that_is_cut_off_is_refused_if_that_is_asked_for(make_loader, copied):
    path = pictures(copied)[3]
    path.write_bytes(path.read_bytes()[:-20])
    loader = make_loader(data_dir=str(copied), truncated="error")
    with pytest.raises(UserError, match=f"{path.name}: is cut off; data_loader.args.truncated="):
        list(loader.train(0))
        list(loader.evaluation("valid"))


def test_unreadable_files_are_left_out_where_that_is_asked_for_and_said(make_loader, copied):
    paths = damage(copied)
    loader = make_loader(data_dir=str(copied), unreadable="skip")
    whole = set(loader.table("train").ids()) | set(loader.table("valid").ids())
    assert len(whole) == 112 - 3
    assert not whole & {str(path.relative_to(copied / "train" / "images")) for path in paths}
    assert any(line.startswith("warning: 3 images cannot be read and are left out (") for line in loader.report())
    reasons = sorted(reason.partition(" (")[0] for reason in loader.source()["skipped"].values())
    assert reasons == ["is an empty file", *["is no picture in a known format"] * 2]
    assert sorted(rows_of(loader.train(0))) == list(range(len(loader.table("train"))))


def test_a_data_set_of_which_nothing_can_be_read_is_refused(make_loader, copied):
    for path in pictures(copied):
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"112 of 112 images cannot be read(.|\n)*is no picture in a known format"):
        make_loader(data_dir=str(copied), unreadable="skip").table("train")


def test_an_unreadable_picture_to_predict_is_a_row_with_its_error(make_loader, copied):
    names = sorted(path.name for path in (copied / "eval" / "images").iterdir())
    (copied / "eval" / "images" / names[2]).write_bytes(b"")
    (copied / "eval" / "images" / names[5]).unlink()
    loader = make_loader(data_dir=str(copied))
    errors = [error for _, batch in loader.evaluation("test") for error in batch["error"]]
    assert {place: error for place, error in enumerate(errors) if error} == {2: "is an empty file", 5: "is not there"}
    _, batch = next(iter(loader.evaluation("test")))
    assert batch["image"][2].sum() == 0 and batch["image"][3].sum() > 0


def test_a_worker_that_is_killed_ends_the_epoch_in_one_line(make_loader):
    loader, start = make_loader(num_workers=2, cache_mb=0), time.monotonic()
    with pytest.raises(RunError, match="a worker process"):
        for epoch in range(1000):
            for _ in loader.train(epoch):
                workers = loader.batches._stream._loader._iterator._workers
                os.kill(workers[0].pid, signal.SIGKILL)
    assert time.monotonic() - start < 10


# The data set -------------------------------------------------------------------------------------------------------


def test_nobody_is_on_both_sides_and_the_report_says_who_is_where(make_loader):
    loader = make_loader()
    train, valid = (set(loader.table(side).strings("person")) for side in ("train", "valid"))
    assert not train & valid and len(train | valid) == 16
    assert loader.report()[0].startswith(
        f"{7 * len(train)} training and {7 * len(valid)} validation samples of {len(train)} and "
    )


def test_identical_files_stay_on_one_side_and_are_counted(make_loader, copied):
    loader = make_loader(data_dir=str(copied))
    twins = loader.table("train").path(0), loader.table("valid").path(0)
    shutil.copy(*twins)
    loader = make_loader(data_dir=str(copied))
    names = {str(path.relative_to(copied / "train" / "images")) for path in twins}
    assert sorted(len(names & set(loader.table(side).ids())) for side in ("train", "valid")) == [0, 2]
    assert "2 files are copies of each other, in 1 sets, each set on one side" in loader.report()


def test_identical_files_of_nearly_everybody_are_refused(make_loader, copied):
    first, *others = (path for path in pictures(copied) if path.name == "normal.jpg")
    for path in others:
        shutil.copy(first, path)
    with pytest.raises(UserError, match="files of the validation side are also on the training side"):
        make_loader(data_dir=str(copied)).table("train")


def test_identical_files_under_two_labels_are_warned_of(make_loader, copied):
    mask, normal = (next(path for path in pictures(copied) if path.name == name) for name in ("mask1.jpg", "normal.jpg"))
    shutil.copy(mask, normal)
    report = make_loader(data_dir=str(copied)).report()
    assert [line for line in report if "same bytes" in line and "differ from it in mask" in line and "normal.jpg" in line]


def test_corrections_are_applied_before_the_split_and_reported(make_loader, tmp_path):
    person = make_loader().samples.read()[0].strings("person")[0]
    path = tmp_path / "corrections.csv"
    path.write_text(f"where,is,set,to\nperson,{person},exclude,\n")
    loader = make_loader(corrections=str(path))
    assert person not in loader.table("train").strings("person") + loader.table("valid").strings("person")
    assert "corrections: 0 values changed, 7 samples taken out" in loader.report()[1]


def test_a_fingerprint_is_of_the_labels_and_not_of_the_place_of_the_files(make_loader, masks_folder, copied, tmp_path):
    before = make_loader().fingerprint()
    assert before == make_loader(data_dir=str(copied)).fingerprint() != {}
    path = tmp_path / "corrections.csv"
    prints = [before]
    for gender in ("male", "female"):
        path.write_text(f"where,is,set,to\nid,{make_loader().table('train').id(0)},gender,{gender}\n")
        prints.append(make_loader(corrections=str(path)).fingerprint())
    assert prints[1].keys() == prints[2].keys() == {"data_loader.args.corrections", "data_loader.args.reader"}
    assert len({found["data_loader.args.reader"] for found in prints}) == 2  # one of the two corrects nothing
    assert prints[1]["data_loader.args.corrections"] != prints[2]["data_loader.args.corrections"]


def test_counts_are_those_of_the_trained_classes(make_loader):
    loader = make_loader()
    spec = loader.spec
    assert len(spec.counts["age"]) == 6 and len(spec.classes["age"]) == 3
    assert [sum(counts) for counts in spec.counts.values()] == [len(loader.table("train"))] * 3


def test_a_split_that_is_not_configured_is_refused(make_loader):
    with pytest.raises(UserError, match="no split is called val; there are: train, valid, test"):
        make_loader().table("val")
    with pytest.raises(UserError, match="data_loader.args.test_reader: is not set"):
        make_loader(test_reader=None).table("test")


def test_a_data_folder_that_is_not_there_is_named(make_loader):
    with pytest.raises(UserError, match="no/such/folder/train/images: is no folder; set data_loader.args.data_dir"):
        make_loader(data_dir="no/such/folder").table("train")


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (
            {"type": "BalancedSampler", "args": {"labels": ["maks"]}},
            r'sampler.args.labels: the data have no label "maks" \(did you',
        ),
        (
            {"type": "WeightedSampler", "args": {"label": "sex", "weights": [1]}},
            'sampler.args.label: the data have no label "sex"',
        ),
        (
            {"type": "WeightedSampler", "args": {"label": "age", "weights": [1, 1, 1]}},
            "found 3 weights; age is trained in 6 classes",
        ),
    ],
)
def test_a_sampler_that_does_not_suit_the_labels_is_refused_by_the_config(make_loader, sampler, message):
    with pytest.raises(ConfigError, match=message):
        make_loader(sampler=sampler)


def test_pictures_lying_on_their_side_are_batched_upright(make_loader, copied):
    from PIL import Image

    path = pictures(copied)[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = read_image(path)
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(path, quality=95, exif=exif)
    decoded = read_image(path, (28, 24)).astype(int)
    assert np.abs(decoded - cv2.resize(upright, (24, 28)).astype(int)).mean() < 6
