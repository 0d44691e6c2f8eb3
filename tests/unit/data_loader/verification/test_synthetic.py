"""Facts about the synthetic faces and their pairs."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_loader.synthetic.reader import SyntheticReader
from data_loader.verification import synthetic
from utils.errors import UserError


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=["verify", "angle"])
def faces(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / str(request.param)
    write = {"verify": synthetic.write_verify, "angle": synthetic.write_angle}[request.param]
    write(folder, people=8, shots=4, pairs=10, seed=2, size=(24, 24))
    return folder


def test_train_meta_lists_every_picture_with_its_identity(faces: Path) -> None:
    meta = rows(faces / "train" / "train_meta.csv")
    pictures = {path.name for path in (faces / "train").iterdir() if path.suffix != ".csv"}
    assert {row["file_name"] for row in meta} == pictures
    assert Counter(row["face_id"] for row in meta) == {str(index): 4 for index in range(8)}


def test_pairs_are_distinct_balanced_and_of_existing_pictures(faces: Path) -> None:
    for path in (faces / "validate" / "validate_label.csv", faces / "test" / "answers.csv"):
        pairs = rows(path)
        assert list(pairs[0]) == ["image1", "image2", "label"]
        assert Counter(row["label"] for row in pairs) == {"0": 5, "1": 5}
        both = {frozenset((row["image1"], row["image2"])) for row in pairs}
        assert len(both) == 10 and all(len(pair) == 2 for pair in both)
        assert all((path.parent / name).is_file() for pair in both for name in pair)


def test_test_labels_are_withheld_for_the_same_pairs(faces: Path) -> None:
    labels, answers = rows(faces / "test" / "test_label.csv"), rows(faces / "test" / "answers.csv")
    assert [{**row, "label": "0"} for row in answers] == labels


def test_label_0_is_a_pair_of_one_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner: dict[str, int] = {}
    real = synthetic._write_faces

    def spy(*arguments: Any) -> dict[int, list[str]]:
        named = real(*arguments)
        owner.update({name: index for index, files in named.items() for name in files})
        return named

    monkeypatch.setattr(synthetic, "_write_faces", spy)
    synthetic.write_verify(tmp_path / "set", 4, 3, 6, seed=0, size=(16, 16))
    for row in rows(tmp_path / "set" / "validate" / "validate_label.csv"):
        assert (owner[row["image1"]] != owner[row["image2"]]) == bool(int(row["label"]))


def test_the_three_folders_show_disjoint_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    real = synthetic._write_faces

    def spy(*arguments: Any) -> dict[int, list[str]]:
        named = real(*arguments)
        seen.append(set(named))
        return named

    monkeypatch.setattr(synthetic, "_write_faces", spy)
    synthetic.write_angle(tmp_path / "set", 8, 2, 2, seed=0, size=(16, 16))
    assert seen == [set(range(8)), {8, 9}, {10, 11}]


def test_held_out_names_are_16_hexadecimal_characters(faces: Path) -> None:
    for split in ("validate", "test"):
        stems = [path.stem for path in (faces / split).iterdir() if path.suffix != ".csv"]
        assert stems and all(len(stem) == 16 and int(stem, 16) >= 0 for stem in stems)


def test_33_angle_pictures_cover_every_expression_at_every_camera(tmp_path: Path) -> None:
    synthetic.write_angle(tmp_path / "set", 1, 34, 2, seed=0, size=(16, 16))
    found = {path.name for path in (tmp_path / "set" / "train").glob("*.png")}
    grid = {f"000_E{e:02d}_C{c:02d}_00.png" for e in range(1, 4) for c in range(1, 12)}
    assert found == grid | {"000_E01_C01_01.png"}


def test_more_pairs_than_there_are_pictures_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pairs must be at most 4 with 2 people, not 5"):
        synthetic.write_verify(tmp_path / "set", 2, 2, 5, seed=0, size=(16, 16))


def test_more_angle_people_than_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        synthetic.write_angle(tmp_path / "set", 1001, 2, 2, seed=0)


def test_numbers_that_a_layout_cannot_draw_are_refused_in_a_line(tmp_path: Path) -> None:
    reader = SyntheticReader("verify", people=2, eval_people=100)
    with pytest.raises(UserError, match="cannot be drawn in the layout verify: pairs must be at most 60 with 2 people, not 100"):
        reader.read(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
