"""`laurel.py check` finds everything that training would refuse, and what somebody should look at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from laurel import command
from tests.helpers import ROOT
from utils.errors import UserError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def copied(masks_folder, tmp_path):
    return Path(shutil.copytree(masks_folder, tmp_path / "masks"))


@pytest.fixture
def check(tiny_config, tmp_path, capsys):
    """`check(folder, changes)` -> exit status, text, report."""

    def run(folder, changes=None):
        config = tiny_config({"data_loader.args.data_dir": str(folder), **(changes or {})})
        status = command("check", ["-c", str(config), "-o", str(tmp_path / "report.json")])
        return status, capsys.readouterr().out, json.loads((tmp_path / "report.json").read_text())

    return run


def pictures(folder):
    return sorted((folder / "train" / "images").rglob("*.jpg"))


def test_a_sound_data_set_is_described_and_accepted(check, masks_folder):
    status, text, report = check(masks_folder)
    assert status == 0 and report["usable"] and report["errors"] == []
    assert report["samples"] == {"all": 112, "train": 84, "valid": 28, "test": 28}
    assert report["people"] == {"column": "person", "train": 12, "valid": 4}
    assert report["sizes"] == {"smallest": "32 x 32", "largest": "32 x 32", "frequent": {"32 x 32": 112}}
    assert report["labels"]["mask"]["worn"] == {"train": 60, "valid": 20}
    assert "112 in all, 84 to train, 28 to validate, 28 to predict" in text
    assert text.rstrip().endswith("training would start")


def test_files_that_cannot_be_read_are_all_named(check, copied):
    paths = [pictures(copied)[number] for number in (1, 50, 99)]
    paths[0].write_bytes(paths[0].read_bytes()[:10])
    paths[1].write_bytes(b"")
    paths[2].unlink()
    paths[2].symlink_to("nowhere.jpg")
    status, text, report = check(copied)
    reasons = ("is damaged (Truncated File Read)", "is an empty file", "is not there")
    expected = {str(path): reason for path, reason in zip(paths, reasons, strict=True)}
    assert status == 2 and report["unreadable"] == expected
    assert all(f"{path}: {reason}" in text for path, reason in expected.items())
    assert text.rstrip().endswith("training would refuse these data")


def test_a_picture_that_is_cut_off_is_a_warning(check, copied):
    path = pictures(copied)[1]
    path.write_bytes(path.read_bytes()[:-30])
    status, _, report = check(copied)
    assert status == 0 and report["unreadable"] == {}
    assert any(line.startswith("1 pictures are cut off, and decoded as far as they go (") for line in report["warnings"])


def test_files_that_cannot_be_read_are_warnings_where_they_may_be_skipped(check, copied):
    pictures(copied)[1].write_bytes(b"")
    status, _, report = check(copied, {"data_loader.args.unreadable": "skip"})
    assert status == 0 and report["errors"] == []
    assert f"{pictures(copied)[1]}: is an empty file" in report["warnings"]


def test_one_kind_of_problem_does_not_hide_another(check, copied):
    pictures(copied)[1].write_bytes(b"")
    status, _, report = check(copied, {"data_loader.args.labels.gender.classes": ["man", "woman"]})
    assert status == 2
    assert any("is an empty file" in line for line in report["errors"])
    assert any('gender: "male"' in line and "allowed: man, woman" in line for line in report["errors"])
    assert report["samples"]["train"] > 0


def test_identical_files_on_both_sides_are_an_error_by_name(check, copied):
    first, *others = (path for path in pictures(copied) if path.name == "normal.jpg")
    for path in others:
        shutil.copy(first, path)
    status, _, report = check(copied)
    assert status == 2
    assert any("4 files of the validation side are also on the training side" in line for line in report["errors"])
    names = [str(path.relative_to(copied / "train" / "images")) for path in (first, *others)]
    assert report["identical"] == [names]
    assert any(f"differ from it in person ({names[0]} = {names[1]}" in line for line in report["warnings"])


def test_identical_files_on_both_sides_are_a_warning_where_that_is_allowed(check, copied):
    first, *others = (path for path in pictures(copied) if path.name == "normal.jpg")
    for path in others:
        shutil.copy(first, path)
    status, _, report = check(copied, {"data_loader.args.split.check_bytes": False})
    assert status == 0 and report["errors"] == []
    assert any("4 files of the validation side are also on the training side" in line for line in report["warnings"])


def test_identical_files_under_two_labels_are_warned_of(check, copied):
    one, other = pictures(copied)[1], pictures(copied)[6]
    assert one.parent == other.parent and (one.name, other.name) == ("mask1.jpg", "normal.jpg")
    shutil.copy(one, other)
    status, _, report = check(copied)
    assert status == 0
    assert any("1 files with the same bytes as another differ from it in mask" in line for line in report["warnings"])


def test_people_on_both_sides_are_warned_of_where_the_split_does_not_know_them(check, masks_folder):
    status, _, report = check(masks_folder, {"data_loader.args.split.group": None})
    assert status == 0
    assert any("values of person are on both sides" in line and 'split.group="person"' in line for line in report["warnings"])


def test_classes_that_a_side_lacks_are_warned_of(check, masks_folder):
    terms = {"loss.args.terms.race": {"type": "CrossEntropy"}}
    _, _, report = check(masks_folder, {"data_loader.args.labels.race": {"classes": ["Synthetic", "Martian"]}, **terms})
    assert {f"no {side} sample of race is Martian" for side in ("training", "validation")} <= set(report["warnings"])
    assert report["labels"]["race"]["Martian"] == {"train": 0, "valid": 0}


def test_unknown_labels_are_counted(check, masks_folder):
    label = {"column": "shot", "classes": ["mask", "normal"], "missing": ["incorrect_mask"]}
    terms = {"loss.args.terms.covered": {"type": "CrossEntropy"}}
    _, text, report = check(masks_folder, {"data_loader.args.labels.covered": label, **terms})
    assert report["labels"]["covered"]["(unknown)"] == {"train": 12, "valid": 4}
    assert "covered is not known for 16 samples" in report["warnings"]
    assert "(unknown)" in text


def test_pictures_smaller_than_the_wanted_size_are_counted(check, masks_folder):
    _, _, report = check(masks_folder, {"data_loader.args.image_size": [64, 32]})
    assert "112 pictures are smaller than data_loader.args.image_size (64 x 32) and are enlarged" in report["warnings"]


def test_classes_of_fewer_people_than_folds_are_warned_of(check, masks_folder):
    _, _, report = check(masks_folder)
    assert report["warnings"] == ["age is 60 and over for only 4 different values of person; 5 folds cannot all have one"]


def test_annotations_that_cannot_be_read_end_the_check_with_their_line(check, copied):
    (copied / "train" / "images" / "odd.jpg").write_bytes(b"")
    status, text, report = check(copied)
    assert status == 2 and len(report["errors"]) == 1 and "1 of 113 images do not match the reader's pattern (odd.jpg)" in text


def test_wrong_keys_are_named_as_in_training(tiny_config):
    config = tiny_config({"data_loader.args.split.fodls": 5, "data_loader.args.eval_transforms": [{"type": "HorizontalFlip"}]})
    with pytest.raises(UserError, match="config.json: data_loader.args.split.fodls: unknown key"):
        command("check", ["-c", str(config)])


def test_a_wrong_data_set_ends_the_command_with_2_and_no_traceback(tiny_config, tmp_path):
    config = tiny_config({"data_loader.args.data_dir": str(tmp_path / "none")})
    command = [sys.executable, "laurel.py", "check", "-c", str(config)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr + done.stdout
    assert "none/train/images: is no folder; set data_loader.args.data_dir" in done.stdout
