"""Facts about every registered layout of synthetic data: its writer, its readers, and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from base.base_reader import READERS
from base.registry import import_all
from commands.synthesize import counted
from data_loader.synthetic import portraits, writing
from data_loader.synthetic.layouts import LAYOUTS, register_layout
from data_loader.synthetic.people import Shot, person
from data_loader.synthetic.reader import SyntheticReader
from laurel import command
from utils.errors import UserError

import_all("data_loader")
ANY = min(LAYOUTS)  # where one layout stands for all
SIZE = (24, 20)


def draw(layout: str, folder: Path, seed: int) -> None:
    LAYOUTS[layout].draw(folder, people=4, eval_people=2, seed=seed, size=SIZE)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_writer_gives_the_same_bytes_for_the_same_arguments(layout: str, tmp_path: Path) -> None:
    draw(layout, tmp_path / "a", 1)
    draw(layout, tmp_path / "b", 1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_seed_gives_other_pictures(layout: str, tmp_path: Path) -> None:
    draw(layout, tmp_path / "a", 1)
    draw(layout, tmp_path / "b", 2)
    first, second = ({data for name, data in contents(tmp_path / folder).items() if name.endswith("g")} for folder in "ab")
    assert first and not first & second


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_existing_folder_is_refused_by_name_and_kept(layout: str, tmp_path: Path) -> None:
    target = tmp_path / "set"
    target.mkdir()
    with pytest.raises(FileExistsError, match=str(target)):
        draw(layout, target, 1)
    assert list(tmp_path.rglob("*")) == [target]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_interrupted_writer_leaves_nothing(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = writing.write_image, list[Path]()

    def interrupted(path: Path, image: Any) -> None:
        write(path, image)
        written.append(path)
        assert not (tmp_path / "set").exists()
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(layout, tmp_path / "set", 1)
    assert len(written) == 5 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_finished_writer_leaves_only_its_folder(layout: str, tmp_path: Path) -> None:
    draw(layout, tmp_path / "new" / "set", 1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_negative_seed_is_refused_before_anything_is_written(layout: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        draw(layout, tmp_path / "set", -1)
    assert list(tmp_path.iterdir()) == []


def test_a_written_picture_keeps_its_colours(tmp_path: Path) -> None:
    image = portraits.draw(person(0, 0), Shot(), (48, 40), 0).image
    writing.write_image(tmp_path / "a.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)


# --- reading ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_training_part_has_the_columns_that_the_layout_names(layout: str, tmp_path: Path) -> None:
    draw(layout, tmp_path / "set", 1)
    assert set(LAYOUTS[layout].parts["train"].read(tmp_path / "set").names) == LAYOUTS[layout].columns


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_reader_draws_and_reads_each_part(layout: str, tmp_path: Path) -> None:
    arguments = {"layout": layout, "people": 4, "eval_people": 2, "size": SIZE}
    for part in LAYOUTS[layout].parts:
        reader = READERS.part("SyntheticReader").model_validate({"type": "SyntheticReader", "args": {**arguments, "part": part}})
        assert len(reader.build().read(tmp_path / "set"))


def test_a_layout_is_one_of_the_registered_names() -> None:
    with pytest.raises(ValueError, match=f"Input should be .*'{ANY}'"):
        READERS.part("SyntheticReader").model_validate({"type": "SyntheticReader", "args": {"layout": "faces"}})


def test_a_default_that_no_task_registered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "other", LAYOUTS[ANY])
    monkeypatch.delitem(LAYOUTS, "masks", raising=False)
    READERS.forget()
    with pytest.raises(ValueError, match="Input should be .*'other'"):
        READERS.part("SyntheticReader").model_validate({"type": "SyntheticReader"})
    READERS.forget()


def test_data_drawn_with_other_arguments_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    SyntheticReader(ANY, people=2, eval_people=2, size=SIZE).read(tmp_path / "data")
    with pytest.raises(UserError, match=r"holds data drawn as .*'people': 2.*, wanted .*'people': 3"):
        SyntheticReader(ANY, people=3, eval_people=2, size=SIZE).read(tmp_path / "data")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TypeError, match=f"{ANY} is registered twice"):
        register_layout(ANY, LAYOUTS[ANY])


# --- command line ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_command_line_writes_every_layout(layout: str, tmp_path: Path) -> None:
    counts = [f"--{name.replace('_', '-')}=2" for name in counted(LAYOUTS[layout])]
    assert command("synthesize", [layout, *counts, str(tmp_path / "set"), "--seed=4", "--size", "20", "16"]) == 0
    pictures = [path for path in (tmp_path / "set").rglob("*") if path.suffix in (".jpg", ".png")]
    assert pictures and {cv2.imread(str(path)).shape for path in pictures} == {(20, 16, 3)}


@pytest.mark.parametrize(
    "options, reason",
    [
        ([ANY, "{}"], "exists already"),
        ([ANY, "{}/set", "--size", "8"], "expected 2 arguments"),
        ([ANY, "{}/set", "--size", "8", "8"], "16 to 4096"),
        ([ANY, "{}/set", "--seed=many"], "invalid int value"),
        (["faces", "{}/set"], "invalid choice"),
        ([], "required"),
    ],
)
def test_a_command_line_error_is_one_line(options: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason) as error:
        command("synthesize", [option.format(tmp_path) for option in options])
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
