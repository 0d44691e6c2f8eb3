"""Synthetic people and the pictures that are drawn of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from data_loader.synthetic.people import AGE_RANGES, Shot, person
from data_loader.synthetic.portraits import Portrait, draw, draw_driver

SIZE = (48, 40)


def names(portrait: Portrait) -> list[str]:
    return [box.name for box in portrait.boxes]


# --- people ---


def test_a_person_is_a_function_of_seed_and_index() -> None:
    assert person(3, 17) == person(3, 17)
    assert person(3, 17).name == "000017"


def test_people_of_other_indices_and_seeds_look_different() -> None:
    looks = {person(seed, index).look for seed in range(3) for index in range(20)}
    assert len(looks) == 60


@pytest.mark.parametrize("seed", range(4))
def test_the_first_six_people_show_both_genders_in_every_age_group(seed: int) -> None:
    people = [person(seed, index) for index in range(6)]
    assert len({(one.gender, sum(one.age > high for _, high in AGE_RANGES)) for one in people}) == 6


def test_age_groups_are_dealt_40_40_20_and_genders_in_halves() -> None:
    people = [person(5, index) for index in range(30)]
    groups = Counter(sum(one.age > high for _, high in AGE_RANGES) for one in people)
    assert groups == {0: 12, 1: 12, 2: 6}
    assert Counter(one.gender for one in people) == {"male": 15, "female": 15}


# --- portraits ---


def test_the_same_arguments_draw_the_same_picture() -> None:
    shot = Shot(mask="incorrect", yaw=12.0, phone=True)
    first, second = (draw(person(1, 2), shot, SIZE, 9) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.boxes == second.boxes


@pytest.mark.parametrize("index, seed", [(3, 9), (2, 10)], ids=["person", "seed"])
def test_another_person_or_seed_draws_another_picture(index: int, seed: int) -> None:
    reference = draw(person(1, 2), Shot(), SIZE, 9).image
    assert not np.array_equal(reference, draw(person(1, index), Shot(), SIZE, seed).image)


def test_a_picture_has_the_size_asked_for_in_rgb_bytes() -> None:
    image = draw(person(0, 0), Shot(), (50, 33), 0).image
    assert image.shape == (50, 33, 3) and image.dtype == np.uint8


def test_channels_are_in_rgb_order() -> None:
    """Skin is redder than blue in every person, whatever the tone."""
    for index in range(6):
        portrait = draw(person(0, index), Shot(), (96, 72), index)
        face = portrait.boxes[0]
        x, y = round((face.x1 + face.x2) / 2), round(face.y1 + 0.56 * (face.y2 - face.y1))
        red, _, blue = portrait.image[y - 2 : y + 3, x - 6 : x + 7].mean(axis=(0, 1))
        assert red > blue + 10


@pytest.mark.parametrize("size", [(15, 40), (40, 15), (5000, 40)])
def test_a_size_out_of_range_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="16 to 4096"):
        draw(person(0, 0), Shot(), size, 0)


def test_boxes_lie_inside_the_picture_with_positive_area() -> None:
    for index in range(40):
        shot = Shot(yaw=index * 3.0 - 60, phone=True, cigarette=True, mouth_open=index % 2 == 0)
        for portrait in (
            draw(person(0, index), shot, SIZE, index),
            draw_driver(person(0, index), shot, (96, 36), index),  # cuts heads off at both sides
        ):
            height, width = portrait.image.shape[:2]
            for box in portrait.boxes:
                assert 0 <= box.x1 < box.x2 <= width and 0 <= box.y1 < box.y2 <= height


def test_a_plain_portrait_has_a_face_a_closed_mouth_and_two_open_eyes() -> None:
    found = Counter(names(draw(person(0, 0), Shot(), SIZE, 0)))
    assert found == {"face": 1, "mouth_closed": 1, "eye_opened": 2}


def test_eyes_and_mouth_are_named_by_their_state() -> None:
    found = set(names(draw(person(0, 0), Shot(mouth_open=True, eyes_closed=True), SIZE, 0)))
    assert found == {"face", "mouth_opened", "eye_closed"}


def test_phone_and_cigarette_have_boxes() -> None:
    found = names(draw(person(0, 0), Shot(phone=True, cigarette=True), (96, 72), 0))
    assert {"phone", "cigar"} <= set(found)


def test_a_worn_mask_leaves_eyes_but_no_mouth_and_no_cigarette() -> None:
    shot = Shot(mask="worn", mouth_open=True, cigarette=True)
    for index in range(20):
        found = Counter(names(draw(person(0, index), shot, SIZE, index)))
        assert found == {"face": 1, "eye_opened": 2}


def test_an_incorrect_mask_covers_the_mouth_the_eyes_or_neither() -> None:
    shot = Shot(mask="incorrect")
    seen = {frozenset(names(draw(person(0, 0), shot, SIZE, seed))) for seed in range(30)}
    assert seen == {
        frozenset({"face", "eye_opened"}),
        frozenset({"face", "mouth_closed"}),
        frozenset({"face", "eye_opened", "mouth_closed"}),
    }


@pytest.mark.parametrize("yaw", [-60.0, 60.0])
def test_the_far_eye_of_a_turned_head_has_no_box(yaw: float) -> None:
    portrait = draw(person(0, 0), Shot(yaw=yaw), (96, 72), 0)
    assert names(portrait).count("eye_opened") == 1


def test_a_positive_yaw_moves_the_mouth_to_the_right_of_the_face() -> None:
    def offset(yaw: float) -> float:
        boxes = {box.name: box for box in draw(person(0, 0), Shot(yaw=yaw), (96, 72), 0).boxes}
        face, mouth = boxes["face"], boxes["mouth_closed"]
        return mouth.x1 + mouth.x2 - face.x1 - face.x2

    assert offset(-40) < -5 < 5 < offset(40)


def test_a_brighter_shot_gives_a_brighter_picture() -> None:
    dark, light = (draw(person(0, 0), Shot(brightness=b), SIZE, 0).image.mean() for b in (0.6, 1.0))
    assert dark < 0.7 * light


def test_an_empty_seat_has_no_boxes() -> None:
    assert draw_driver(None, Shot(), (45, 60), 0).boxes == ()
