"""albumentations behind its door: what a config may name, with which arguments, and where the random numbers come from."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from data_loader.augment.transforms import ALLOWED, DETERMINISTIC, TRANSFORMS, Pipeline, random_steps
from utils.errors import UserError

NEEDED = {  # arguments without a default
    "CenterCrop": {"height": 20, "width": 16},
    "Crop": {"x_max": 16, "y_max": 20},
    "CropAndPad": {"px": 2},
    "LongestMaxSize": {"max_size": 20},
    "PadIfNeeded": {"min_height": 40, "min_width": 40},
    "RandomCrop": {"height": 20, "width": 16},
    "RandomResizedCrop": {"size": [20, 16]},
    "RandomSizedCrop": {"min_max_height": [10, 20], "size": [20, 16]},
    "Resize": {"height": 20, "width": 16},
    "SmallestMaxSize": {"max_size": 20},
}
COMPOSITIONS = {
    "OneOf": {"transforms": [{"type": "HorizontalFlip"}, {"type": "ToGray"}]},
    "SomeOf": {"transforms": [{"type": "HorizontalFlip"}, {"type": "ToGray"}], "n": 1},
    "Sequential": {"transforms": [{"type": "HorizontalFlip"}, {"type": "ToGray"}]},
}


def picture():
    noise = np.random.default_rng(0).random((32, 24, 3))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def part(name, **args):
    return TRANSFORMS.parts[name].model_validate_json(json.dumps({"type": name, "args": {**NEEDED.get(name, {}), **args}}))


def pipeline(*steps):
    return Pipeline([part(name, **args).build() for name, args in steps])


def surely(name, **args):
    """A pipeline of one step that is always taken."""
    return pipeline((name, {**NEEDED.get(name, {}), **COMPOSITIONS.get(name, {}), "p": 1.0, **args}))


# What may be named --------------------------------------------------------------------------------------------------


def test_the_allowed_transforms_are_all_there():
    assert set(TRANSFORMS.parts) == {*ALLOWED, *COMPOSITIONS}
    assert len(ALLOWED) == len(set(ALLOWED))
    assert set(ALLOWED) >= DETERMINISTIC


@pytest.mark.parametrize("name", [*ALLOWED, *COMPOSITIONS])
def test_a_transform_gives_a_picture_for_a_picture_and_the_same_for_the_same_seed(name):
    source, steps = picture(), surely(name)
    first = steps(source, 5)
    np.random.seed(9), random.seed(9), torch.manual_seed(9), cv2.setRNGSeed(9)
    steps(source, 6)
    again = steps(source, 5)
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3
    assert first.shape == again.shape and (first == again).all()
    assert (source == picture()).all(), "the source was written to"


@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_a_transform_called_deterministic_does_the_same_for_every_seed(name):
    steps = surely(name, **({"clip_limit": [2, 2]} if name == "CLAHE" else {}))
    assert all((steps(picture(), seed) == steps(picture(), 0)).all() for seed in range(1, 20))


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("GaussianBlur", {"blur_limt": 3}, "blur_limt"),
        ("HorizontalFlip", {"p": 1.5}, "less than or equal to 1"),
        ("RandomBrightnessContrast", {"brightness_limit": "much"}, "brightness_limit"),
        ("CropAndPad", {"px": None}, "Both px and percent"),
        ("OneOf", {"transforms": []}, "at least 1 item"),
        ("OneOf", {"transforms": [{"type": "HorizontalFlip", "args": {"p": 0}}]}, "at least one has p above 0"),
        ("OneOf", {"transforms": [{"type": "Normalize"}]}, "Normalize"),
        ("SomeOf", {"transforms": [{"type": "ToGray"}], "n": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_arguments_are_refused(name, args, message):
    with pytest.raises(ValueError, match=message):
        part(name, **args)


def test_importing_albumentations_asks_no_network():
    code = (
        "import data_loader.augment.transforms as t, os, sys; t.TRANSFORMS.parts; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    )
    clean = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    assert subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True).stdout == "1\n"


# Random numbers -----------------------------------------------------------------------------------------------------


def test_other_seeds_give_other_pictures():
    steps = surely("RandomBrightnessContrast")
    assert len({steps(picture(), seed).tobytes() for seed in range(50)}) > 40


def test_steps_are_drawn_independently_of_each_other():
    steps = pipeline(("HorizontalFlip", {"p": 0.5}), ("InvertImg", {"p": 0.5}))
    found = {}
    for seed in range(400):
        result = steps(picture(), seed).tobytes()
        found[result] = found.get(result, 0) + 1
    assert len(found) == 4
    assert min(found.values()) > 60


def test_steps_within_a_composition_are_drawn_independently_too():
    either = {"transforms": [{"type": "HorizontalFlip"}, {"type": "VerticalFlip"}], "p": 0.5}
    steps = pipeline(("OneOf", either), ("InvertImg", {"p": 0.5}))
    assert len({steps(picture(), seed).tobytes() for seed in range(100)}) == 6


def test_seeds_of_all_sizes_give_numbers_that_are_evenly_spread():
    steps = pipeline(("HorizontalFlip", {"p": 0.5}))
    for seeds in (range(1000), range(2**62, 2**62 + 1000)):
        flipped = sum((steps(picture(), seed) != picture()).any() for seed in seeds)
        assert 430 < flipped < 570


def test_no_steps_leave_the_picture_itself():
    source = picture()
    assert Pipeline([])(source, 3) is source


# Evaluation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("HorizontalFlip", {}, "found HorizontalFlip, which is random; allowed, with p=1: AutoContrast, CLAHE, "),
        ("ToGray", {"p": 0.5}, "found ToGray with p=0.5, which is random"),
        ("PadIfNeeded", {"position": "random"}, 'found PadIfNeeded with position="random", which is random'),
        ("CLAHE", {"p": 1.0}, "found CLAHE with a clip_limit from 1 to 4, which is random"),
    ],
)
def test_a_random_step_is_not_for_evaluation(name, args, message):
    ((key, text),) = random_steps([part("Resize"), part(name, **args)])
    assert key == "eval_transforms[1]"
    assert text.startswith(message)


def test_steps_without_chance_are_for_evaluation():
    assert list(random_steps([part("Resize"), part("CLAHE", p=1.0, clip_limit=[2, 2]), part("ToGray", p=1.0)])) == []


# Faults and records -------------------------------------------------------------------------------------------------


def test_a_step_that_does_not_suit_the_picture_is_named():
    with pytest.raises(
        UserError, match=r"data_loader.args.train_transforms: RandomCrop fails on a picture of 32 x 24 pixels \(.*100"
    ):
        surely("RandomCrop", height=100, width=100)(picture(), 0)


def test_a_pipeline_that_does_not_leave_3_channels_is_refused():
    with pytest.raises(UserError, match=r"data_loader.args.train_transforms: gives pictures of shape \(32, 24\); 3 channels"):
        surely("ToGray", num_output_channels=1)(picture(), 0)


def test_the_record_names_every_argument_and_leaves_the_random_numbers_alone():
    steps, same = surely("RandomBrightnessContrast"), surely("RandomBrightnessContrast")
    record = steps.as_json()
    assert record["__version__"] == "2.0.8"
    (step,) = record["transform"]["transforms"]
    assert step["__class_fullname__"] == "RandomBrightnessContrast" and step["brightness_limit"] == (-0.2, 0.2)
    assert (steps(picture(), 3) == same(picture(), 3)).all()
    assert Pipeline([]).as_json() == {}
