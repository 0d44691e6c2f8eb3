"""`laurel.py crop`: a box for every picture, given ones first, and a report that adds up."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_loader.pictures.decode import read_image
from laurel import command
from tests.helpers import ROOT
from tests.onnx_models import write_brightness, write_constant
from utils.errors import UserError

PICTURES = 140  # of the tiny data set: 16 people to train on and 4 to predict, 7 pictures each


@pytest.fixture
def copied(masks_folder: Path, tmp_path: Path) -> Path:
    """A data set of its own."""
    return Path(shutil.copytree(masks_folder, tmp_path / "masks"))


@pytest.fixture
def crop(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`crop("--boxes", path, croppers=[…])` runs the command, writes boxes.csv into the data folder, and gives what it prints."""

    def run(*arguments: Any, croppers: Any = (), config: str = "masks.json", **settings: Any) -> str:
        args: dict[str, Any] = {"data_dir": str(copied), "crops": {"file": "boxes.csv", **settings}, "croppers": list(croppers)}
        sets = [word for key, value in args.items() for word in ("--set", f"data_loader.args.{key}={json.dumps(value)}")]
        given = ["-c", str(ROOT / "configs" / config), *sets, "--sheets", str(tmp_path / "sheets"), *map(str, arguments)]
        assert command("crop", given) == 0
        return capsys.readouterr().out

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def detector(folder: Path, name: str, *boxes: tuple[float, ...]) -> dict[str, Any]:
    """A detector's part that always finds these, in shares of the picture."""
    outputs = {"boxes": np.array(boxes).reshape(1, -1, 4), "scores": np.full((1, len(boxes)), 0.9)}
    return {"type": "OnnxDetectorCropper", "args": {"model": str(write_constant(folder / name, outputs)), "label": 9}}


def test_every_picture_to_train_on_and_to_predict_gets_a_box(crop: Any, copied: Path, tmp_path: Path) -> None:
    said = crop(croppers=[detector(tmp_path, "a.onnx", (0.25, 0.25, 0.75, 1))])
    found = rows(copied / "boxes.csv")
    assert [row["path"] for row in found] == sorted(path.relative_to(copied).as_posix() for path in copied.rglob("*.jpg"))
    assert {tuple(row.values())[1:] for row in found} == {("8", "8", "24", "32", "OnnxDetectorCropper", "0.9000")}
    assert f"asked for {PICTURES}: one {PICTURES}, several 0, too small 0, none 0" in said


def test_the_config_that_named_the_file_then_sees_what_is_in_the_boxes(crop: Any, copied: Path, make_loader: Any) -> None:
    crop()
    loader = make_loader(data_dir=str(copied), crops={"file": "boxes.csv"})
    assert len(loader.table("train")) + len(loader.table("valid")) + len(loader.table("test")) == PICTURES


def test_croppers_are_asked_in_their_order_and_the_report_counts_each(crop: Any, copied: Path, tmp_path: Path) -> None:
    segmenter = {
        "type": "OnnxSegmenterCropper",
        "args": {"model": str(write_brightness(tmp_path / "s.onnx", (32, 32))), "threshold": 1.0},
    }
    small = detector(tmp_path, "small.onnx", (0, 0, 0.2, 0.2))
    several = detector(tmp_path, "several.onnx", (0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1))
    said = crop(croppers=[segmenter, small, several])
    assert f"OnnxSegmenterCropper  asked for {PICTURES}: " in said
    left = PICTURES - sum(row["found_by"] == "OnnxSegmenterCropper" for row in rows(copied / "boxes.csv"))
    assert 0 < left < PICTURES
    assert f"OnnxDetectorCropper  asked for {left}: one 0, several 0, too small {left}, none 0" in said
    assert f"OnnxDetectorCropper-2  asked for {left}: one 0, several {left}, too small 0, none 0" in said
    sheets = {path.name for path in (tmp_path / "sheets").iterdir()}
    assert {"OnnxDetectorCropper-2-several.png", "OnnxDetectorCropper-too-small.png", "OnnxSegmenterCropper-none.png"} <= sheets
    assert read_image(tmp_path / "sheets" / "OnnxDetectorCropper-2-several.png").shape[1] == 8 * 128


def test_where_nothing_is_found_a_picture_stays_whole_and_its_line_says_so(crop: Any, copied: Path, tmp_path: Path) -> None:
    said = crop(croppers=[detector(tmp_path, "a.onnx", (0, 0, 0.2, 0.2))])
    assert {tuple(row.values())[1:] for row in rows(copied / "boxes.csv")} == {("0", "0", "32", "32", "whole", "")}
    assert f"boxes from whole {PICTURES}" in said
    assert (tmp_path / "sheets" / "whole.png").exists()


def test_given_boxes_come_before_the_croppers_the_first_file_first(crop: Any, copied: Path, tmp_path: Path) -> None:
    first, second, third = (path.relative_to(copied).as_posix() for path in sorted(copied.rglob("*.jpg"))[:3])
    hand, older = tmp_path / "hand.csv", tmp_path / "older.csv"
    hand.write_text(f"path,s_X,s_Y,e_X,e_Y\n{first},1,2,3,4\n")
    older.write_text(f"path,s_X,s_Y,e_X,e_Y,found_by\n{first},5,6,7,8,me\n{second},5,6,7,8,me\n")
    said = crop("--boxes", hand, "--boxes", older, croppers=[detector(tmp_path, "a.onnx", (0, 0, 1, 1))])
    found = {row["path"]: tuple(row.values())[1:6] for row in rows(copied / "boxes.csv")}
    assert found[first] == ("1", "2", "3", "4", "hand.csv")
    assert found[second] == ("5", "6", "7", "8", "me")
    assert found[third] == ("0", "0", "32", "32", "OnnxDetectorCropper")
    assert f"boxes from OnnxDetectorCropper {PICTURES - 2}, hand.csv 1, me 1" in said


def test_a_given_box_outside_its_picture_is_named_and_nothing_is_written(crop: Any, copied: Path, tmp_path: Path) -> None:
    name = sorted(copied.rglob("*.jpg"))[0].relative_to(copied).as_posix()
    hand = tmp_path / "hand.csv"
    hand.write_text(f"path,s_X,s_Y,e_X,e_Y\n{name},1,2,33,4\n")
    with pytest.raises(UserError, match=f"hand.csv: line 2: {name}: the box .1, 2, 33, 4. is not within the picture's 32 x 32"):
        crop("--boxes", hand, "--write", tmp_path / "cut")
    assert not (copied / "boxes.csv").exists() and not (tmp_path / "cut").exists()
    assert "1 given boxes were clipped" in crop("--boxes", hand, outside="clip")


def test_a_picture_that_cannot_be_read_is_named(crop: Any, copied: Path) -> None:
    broken = sorted((copied / "eval" / "images").iterdir())[0]
    broken.write_bytes(b"no picture")
    assert f"1 pictures cannot be read and have no box (eval/images/{broken.name} is no picture" in crop()


def test_pictures_are_written_as_they_are_cut_where_asked(crop: Any, copied: Path, tmp_path: Path) -> None:
    crop("--write", tmp_path / "cut", croppers=[detector(tmp_path, "a.onnx", (0.25, 0.25, 0.75, 1))], margin=0.25)
    written = sorted((tmp_path / "cut").rglob("*.jpg"))
    assert len(written) == PICTURES
    assert read_image(written[0]).shape == (30, 24, 3)


def test_a_file_that_is_there_is_not_lost(crop: Any, copied: Path) -> None:
    crop()
    with pytest.raises(UserError, match="boxes.csv: is there already; .* keep its boxes with --boxes"):
        crop()
    assert "asked" not in crop("--boxes", copied / "boxes.csv")


def test_a_config_without_crops_needs_a_name_for_the_file(copied: Path) -> None:
    with pytest.raises(UserError, match="-o FILE: is needed"):
        command("crop", ["-c", str(ROOT / "configs" / "masks.json"), "--set", f"data_loader.args.data_dir={copied}"])
