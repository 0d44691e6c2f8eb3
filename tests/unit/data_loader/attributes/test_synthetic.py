"""Facts about the synthetic pictures of people with masks."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from data_loader.attributes import synthetic
from data_loader.synthetic.people import Person, person


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "masks"
    synthetic.write_masks(folder, people=8, eval_people=6, seed=3, size=(32, 24))
    return folder


def test_train_people_have_a_folder_named_after_their_row(masks: Path) -> None:
    listed = rows(masks / "train" / "train.csv")
    assert list(listed[0]) == ["id", "gender", "race", "age", "path"]
    assert [row["id"] for row in listed] == [f"{index:06d}" for index in range(8)]
    for row in listed:
        assert row["path"] == f"{row['id']}_{row['gender']}_{row['race']}_{row['age']}"
        found = {path.name for path in (masks / "train" / "images" / row["path"]).iterdir()}
        numbered = {f"mask{number}.jpg" for number in range(1, 6)}
        assert found == numbered | {"incorrect_mask.jpg", "normal.jpg"}


def test_mask_pictures_have_the_size_asked_for(masks: Path) -> None:
    assert {cv2.imread(str(path)).shape for path in masks.rglob("*.jpg")} == {(32, 24, 3)}


def test_info_withholds_the_answers_of_the_pictures_in_eval(masks: Path) -> None:
    info, answers = rows(masks / "eval" / "info.csv"), rows(masks / "eval" / "answers.csv")
    assert list(info[0]) == list(answers[0]) == ["ImageID", "ans"]
    assert {row["ans"] for row in info} == {"0"}
    assert [row["ImageID"] for row in info] == [row["ImageID"] for row in answers]
    assert {row["ImageID"] for row in info} == {path.name for path in (masks / "eval" / "images").iterdir()}
    assert {len(Path(row["ImageID"]).stem) for row in info} == {40}


def test_six_people_in_eval_show_all_18_classes(masks: Path) -> None:
    answers = Counter(int(row["ans"]) for row in rows(masks / "eval" / "answers.csv"))
    assert answers == {**dict.fromkeys(range(6), 5), **dict.fromkeys(range(6, 18), 1)}


def test_thirty_people_show_all_18_classes() -> None:
    people = [person(0, index) for index in range(30)]
    states = synthetic._MASK_CLASSES
    assert {synthetic._mask_class(p, s) for p in people for s in states} == set(range(18))


def test_eval_rows_are_not_grouped_by_class(masks: Path) -> None:
    answers = [int(row["ans"]) for row in rows(masks / "eval" / "answers.csv")]
    changes = sum(a != b for a, b in itertools.pairwise(answers))
    assert changes > len(answers) / 2


def test_eval_people_are_not_train_people(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[set[int]] = [set(), set()]
    real = synthetic._mask_pictures

    def spy(one: Person, seed: int, size: tuple[int, int]) -> Any:
        drawn[one.index >= 8].add(one.index)
        return real(one, seed, size)

    monkeypatch.setattr(synthetic, "_mask_pictures", spy)
    synthetic.write_masks(masks.parent / "again", 8, 6, seed=3, size=(32, 24))
    assert drawn == [set(range(8)), set(range(10, 16))]
