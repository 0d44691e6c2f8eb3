"""Facts about the synthetic people, their portraits and the data sets written from them."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data_loader.synthetic import writers as synthetic
from data_loader.synthetic.writers import Portrait, Shot, draw, person

SIZE = (48, 40)
WRITERS: dict[str, Callable[[Path, int], None]] = {
    "masks": lambda folder, seed: synthetic.write_masks(folder, 2, 1, seed, (32, 24)),
    "verify": lambda folder, seed: synthetic.write_verify(folder, 3, 3, 6, seed, (24, 24)),
    "angle": lambda folder, seed: synthetic.write_angle(folder, 3, 3, 6, seed, (24, 24)),
    "drivers": lambda folder, seed: synthetic.write_drivers(folder, 4, 2, seed, (45, 60)),
}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(portrait: Portrait) -> list[str]:
    return [box.name for box in portrait.boxes]


def image_size(path: Path) -> tuple[int, int, int]:
    height, width, channels = cv2.imread(str(path)).shape
    return height, width, channels


# --- every writer ---


@pytest.mark.parametrize("layout", WRITERS)
def test_a_writer_gives_the_same_bytes_for_the_same_arguments(layout: str, tmp_path: Path) -> None:
    WRITERS[layout](tmp_path / "a", 1)
    WRITERS[layout](tmp_path / "b", 1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("layout", WRITERS)
def test_another_seed_gives_other_pictures(layout: str, tmp_path: Path) -> None:
    WRITERS[layout](tmp_path / "a", 1)
    WRITERS[layout](tmp_path / "b", 2)
    first, second = ({data for name, data in contents(tmp_path / folder).items() if name.endswith("g")} for folder in "ab")
    assert first and not first & second


@pytest.mark.parametrize("layout", WRITERS)
def test_an_existing_folder_is_refused_by_name_and_kept(layout: str, tmp_path: Path) -> None:
    target = tmp_path / "set"
    target.mkdir()
    with pytest.raises(FileExistsError, match=str(target)):
        WRITERS[layout](target, 1)
    assert list(tmp_path.rglob("*")) == [target]


@pytest.mark.parametrize("layout", WRITERS)
def test_an_interrupted_writer_leaves_nothing(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = synthetic._write_image, list[Path]()

    def interrupted(path: Path, image: Any) -> None:
        write(path, image)
        written.append(path)
        assert not (tmp_path / "set").exists()
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "_write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WRITERS[layout](tmp_path / "set", 1)
    assert len(written) == 5 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", WRITERS)
def test_a_finished_writer_leaves_only_its_folder(layout: str, tmp_path: Path) -> None:
    WRITERS[layout](tmp_path / "new" / "set", 1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set"]


@pytest.mark.parametrize("layout", WRITERS)
def test_a_negative_seed_is_refused_before_anything_is_written(layout: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        WRITERS[layout](tmp_path / "set", -1)
    assert list(tmp_path.iterdir()) == []


def test_a_written_picture_keeps_its_colours(tmp_path: Path) -> None:
    image = draw(person(0, 0), Shot(), SIZE, 0).image
    synthetic._write_image(tmp_path / "a.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)


# --- masks ---


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
    assert {image_size(path) for path in masks.rglob("*.jpg")} == {(32, 24, 3)}


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

    def spy(one: synthetic.Person, seed: int, size: tuple[int, int]) -> Any:
        drawn[one.index >= 8].add(one.index)
        return real(one, seed, size)

    monkeypatch.setattr(synthetic, "_mask_pictures", spy)
    synthetic.write_masks(masks.parent / "again", 8, 6, seed=3, size=(32, 24))
    assert drawn == [set(range(8)), set(range(10, 16))]


# --- verify and angle ---


@pytest.fixture(scope="module", params=["verify", "angle"])
def faces(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / str(request.param)
    write = {"verify": synthetic.write_verify, "angle": synthetic.write_angle}[request.param]
    write(folder, identities=8, shots=4, pairs=10, seed=2, size=(24, 24))
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


def test_more_angle_identities_than_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        synthetic.write_angle(tmp_path / "set", 1001, 2, 2, seed=0)


# --- drivers ---


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "drivers"
    synthetic.write_drivers(folder, images=24, test_images=8, seed=1, size=(90, 120))
    return folder


def listing(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    return found


def test_every_driver_picture_is_annotated(drivers: Path) -> None:
    for split, labels in (("train", "labels"), ("test", "labels"), ("test", "answers")):
        pictures = sorted(path.name for path in (drivers / split / "images").iterdir())
        listed = listing(drivers / split / f"{labels}.json")
        assert [annotation["file_name"] for annotation in listed] == pictures


def test_driver_positions_are_inside_and_rounded_to_a_tenth(drivers: Path) -> None:
    for annotation in listing(drivers / "train" / "labels.json"):
        for found in annotation["objects"]:
            x1, y1, x2, y2 = found["position"]
            assert 0 <= x1 < x2 <= 120 and 0 <= y1 < y2 <= 90
            assert [round(side, 1) for side in found["position"]] == found["position"]


def test_drivers_show_all_seven_classes(drivers: Path) -> None:
    listed = listing(drivers / "train" / "labels.json")
    eyes_and_mouth = {"eye_opened", "eye_closed", "mouth_opened", "mouth_closed"}
    seen = {found["class"] for annotation in listed for found in annotation["objects"]}
    assert seen == {"face", "phone", "cigar"} | eyes_and_mouth


def test_one_driver_picture_in_eight_shows_nobody(drivers: Path) -> None:
    listed = listing(drivers / "train" / "labels.json")
    assert sum(not annotation["objects"] for annotation in listed) == 3


def test_the_test_labels_of_drivers_are_withheld(drivers: Path) -> None:
    labels = listing(drivers / "test" / "labels.json")
    assert all(annotation["objects"] == [] for annotation in labels)
    assert any(annotation["objects"] for annotation in listing(drivers / "test" / "answers.json"))


# --- command line ---


@pytest.mark.parametrize(
    "options",
    [
        ["masks", "--people=2", "--eval-people=1"],
        ["verify", "--people=2", "--shots=2", "--pairs=2"],
        ["angle", "--people=2", "--shots=2", "--pairs=2"],
        ["drivers", "--images=2", "--test-images=1"],
    ],
    ids=lambda options: options[0],
)
def test_the_command_line_writes_every_layout(options: list[str], tmp_path: Path) -> None:
    synthetic.main([*options, str(tmp_path / "set"), "--seed=4", "--size", "20", "16"])
    pictures = [path for path in (tmp_path / "set").rglob("*") if path.suffix in (".jpg", ".png")]
    assert pictures and {image_size(path) for path in pictures} == {(20, 16, 3)}


@pytest.mark.parametrize(
    "options, reason",
    [
        (["masks", "{}"], "already exists"),
        (["masks", "{}/set", "--people=0"], "people must be at least 1, not 0"),
        (["drivers", "{}/set", "--size", "8", "8"], "16 to 4096"),
        (["verify", "{}/set", "--shots=many"], "invalid int value"),
        (["faces", "{}/set"], "invalid choice"),
        ([], "required"),
    ],
)
def test_a_command_line_error_is_one_line_with_exit_status_2(
    options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        synthetic.main([option.format(tmp_path) for option in options])
    lines = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert len(lines) == 1 and reason in lines[0]
    assert list(tmp_path.iterdir()) == []
