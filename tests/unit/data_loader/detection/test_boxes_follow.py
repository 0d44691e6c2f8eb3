"""Boxes stay on their objects: rectangles in colours of their own are found again by colour after everything that is done."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loader.augment.transforms import TRANSFORMS, Pipeline, uncovered
from data_loader.detection.mosaic import Mosaic, visible
from data_loader.pictures.letterbox import GREY, Placement, blank, centred, common_frame, fitted, paste

COLOURS = np.array([colour for colour in itertools.product((0, 255), repeat=3) if 0 < sum(colour) < 765], np.uint8)
seeds = st.integers(0, 2**40)
sides = st.integers(60, 200)
everywhere = settings(max_examples=25, deadline=None)


def drawn(height, width, numbers, rng):
    """A grey picture with a rectangle of each colour, side by side, and their boxes (n, 4)."""
    picture = np.full((height, width, 3), 114, np.uint8)
    boxes = []
    for place, number in enumerate(numbers):
        left, right = width * place // len(numbers), width * (place + 1) // len(numbers)
        x1, y1 = int(rng.integers(left + 1, right - 14)), int(rng.integers(1, height - 14))
        x2, y2 = int(rng.integers(x1 + 12, right)), int(rng.integers(y1 + 12, height))
        picture[y1:y2, x1:x2] = COLOURS[number]
        boxes.append([x1, y1, x2, y2])
    return picture, np.array(boxes, float).reshape(-1, 4)


def pixels(picture, number, within=70):
    """Where a colour is, (h, w) bool."""
    return (np.abs(picture.astype(int) - COLOURS[number]) < within).all(axis=2)


def assert_on_objects(picture, boxes, labels, tolerance=1.5, tilted=False):
    """Each box ends where its colour does, and no colour is outside the boxes of its class.

    tilted: a turned rectangle fills its box no more where that is cut off at the border, and its corners are sharp.
    """
    height, width = picture.shape[:2]
    for number in range(len(COLOURS)):
        mask, covered = pixels(picture, number), np.zeros(picture.shape[:2], bool)
        for x1, y1, x2, y2 in boxes[labels == number]:
            margin = np.s_[
                max(0, round(y1 - tolerance)) : round(y2 + tolerance), max(0, round(x1 - tolerance)) : round(x2 + tolerance)
            ]
            covered[margin] = True
            cut = x1 <= 0 or y1 <= 0 or x2 >= width or y2 >= height
            near = [x1 - 2 * tolerance, y1 - 2 * tolerance, x2 + 2 * tolerance, y2 + 2 * tolerance]
            others = (boxes[labels == number][:, :2] < near[2:]).all(axis=1) & (boxes[labels == number][:, 2:] > near[:2]).all(
                axis=1
            )
            if min(x2 - x1, y2 - y1) <= 2 * tolerance or (tilted and cut) or others.sum() > 1:
                continue  # a sliver may be too thin for a pixel of pure colour, and a neighbour's may be taken for its own
            rows, columns = np.nonzero(mask[margin].any(axis=1))[0], np.nonzero(mask[margin].any(axis=0))[0]
            assert len(rows), (number, (x1, y1, x2, y2))
            top, left = margin[0].start, margin[1].start
            found = [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]
            np.testing.assert_allclose(found, [x1, y1, x2, y2], atol=tolerance)
        assert not (mask & ~covered).any(), number


def pipeline(*steps):
    """A pipeline as a config would build it."""
    texts = [json.dumps({"type": name, "args": args}) for name, args in steps]
    return Pipeline(
        [TRANSFORMS.parts[name].model_validate_json(text).build() for (name, _), text in zip(steps, texts, strict=True)]
    )


GEOMETRIC = [
    (("HorizontalFlip", {"p": 1.0}),),
    (("VerticalFlip", {"p": 1.0}),),
    (("RandomRotate90", {"p": 1.0}),),
    (("SquareSymmetry", {"p": 1.0}),),
    (("Transpose", {"p": 1.0}),),
    (("Affine", {"translate_percent": [-0.3, 0.3], "p": 1.0}),),
    (("Affine", {"scale": [0.6, 1.6], "p": 1.0}),),
    (("Affine", {"rotate": [-20, 20], "shear": [-8, 8], "scale": [0.7, 1.3], "translate_percent": [-0.2, 0.2], "p": 1.0}),),
    (("ShiftScaleRotate", {"p": 1.0}),),
    (("Rotate", {"limit": [-30, 30], "p": 1.0}),),
    (("SafeRotate", {"limit": [-30, 30], "p": 1.0}),),
    (("Perspective", {"p": 1.0}),),
    (("RandomResizedCrop", {"size": [90, 110], "scale": [0.3, 1.0], "p": 1.0}),),
    (("RandomCrop", {"height": 50, "width": 50, "p": 1.0}),),
    (("CenterCrop", {"height": 50, "width": 50, "p": 1.0}),),
    (("CropAndPad", {"percent": [-0.2, 0.2], "p": 1.0}),),
    (("Resize", {"height": 77, "width": 131, "p": 1.0}),),
    (("LongestMaxSize", {"max_size": 150, "p": 1.0}),),
    (("PadIfNeeded", {"min_height": 256, "min_width": 256, "fill": [114.0, 114.0, 114.0], "p": 1.0}),),
    (("RandomScale", {"scale_limit": [-0.3, 0.3], "p": 1.0}),),
    (("OneOf", {"transforms": [{"type": "HorizontalFlip"}, {"type": "Transpose"}], "p": 1.0}), ("RandomGamma", {"p": 1.0})),
    (("HorizontalFlip", {}), ("Affine", {"rotate": [-10, 10], "p": 0.5}), ("RandomCrop", {"height": 55, "width": 55, "p": 1.0})),
]  # fmt: skip


@pytest.mark.parametrize("steps", GEOMETRIC, ids=lambda steps: "-".join(name for name, _ in steps))
@given(seed=seeds, height=sides, width=sides)
@everywhere
def test_boxes_follow_every_transform(steps, seed, height, width):
    numbers = [0, 3]
    picture, boxes = drawn(height, width, numbers, np.random.default_rng(seed))
    picture, boxes, kept = pipeline(*steps).with_boxes(picture, boxes, seed, 0.0, 0.0)
    assert (boxes >= 0).all() and (boxes[:, 2:] <= picture.shape[1::-1]).all()
    tilted = any(word in str(steps) for word in ("rotate", "Rotate", "Perspective"))
    assert_on_objects(picture, boxes, np.array(numbers)[kept], 2.5 if tilted else 1.5, tilted)


@pytest.mark.parametrize("name", ["GridDistortion", "OpticalDistortion", "ElasticTransform"])
@given(seed=seeds)
@everywhere
def test_boxes_follow_distortions_less_closely(name, seed):
    picture, boxes = drawn(200, 160, [1, 4], np.random.default_rng(seed))
    picture, boxes, kept = pipeline((name, {"p": 1.0})).with_boxes(picture, boxes, seed, 0.0, 0.0)
    assert_on_objects(picture, boxes, np.array([1, 4])[kept], 3.0, tilted=True)


@given(seed=seeds, height=sides, width=sides, frame=st.tuples(sides, sides))
@everywhere
def test_boxes_follow_a_picture_into_its_frame_and_back(seed, height, width, frame):
    picture, boxes = drawn(height, width, [2, 5], np.random.default_rng(seed))
    placement, canvas = centred((height, width), frame), blank(frame)
    paste(canvas, picture, placement)
    moved = placement.into(boxes)
    assert_on_objects(canvas, moved, np.array([2, 5]))
    corners = np.hstack([moved.reshape(-1, 2), np.ones((4, 1))])
    np.testing.assert_allclose(corners @ placement.back().T, boxes.reshape(-1, 2), atol=1e-3)


@given(seed=seeds, shapes=st.lists(st.tuples(sides, sides), min_size=4, max_size=4), frame=st.tuples(sides, sides))
@everywhere
def test_boxes_follow_four_pictures_into_a_mosaic(seed, shapes, frame):
    rng, canvas, found = np.random.default_rng(seed), blank(frame), []
    for number, (shape, placement) in enumerate(
        zip(shapes, Mosaic(scale=(0.4, 1.5)).placements(rng, shapes, frame), strict=True)
    ):
        picture, boxes = drawn(*shape, [number], rng)
        paste(canvas, picture, placement)
        boxes, kept = visible(placement.into(boxes), frame, 0.0, 0.0)
        found += [(box, number) for box in boxes[: len(kept)]]
    assert_on_objects(canvas, np.array([box for box, _ in found]).reshape(-1, 4), np.array([number for _, number in found]))


def test_a_box_of_which_too_little_is_left_is_left_out_and_the_picture_stays():
    picture, boxes = np.full((100, 100, 3), GREY, np.uint8), np.array([[0.0, 0, 40, 20], [50, 50, 60, 60]])
    crop = pipeline(("Crop", {"x_min": 30, "y_min": 0, "x_max": 58, "y_max": 58, "p": 1.0}))
    for limits, left in (((0.0, 0.3), [1]), ((0.0, 0.2), [0, 1]), ((80.0, 0.0), [0]), ((0.0, 0.9), [])):
        cropped, found, kept = crop.with_boxes(picture, boxes, 0, *limits)
        assert kept.tolist() == left and found.shape == (len(left), 4) and cropped.shape == (58, 28, 3)


HOLES = [
    ("CoarseDropout", {"num_holes_range": [1, 6], "hole_height_range": [0.1, 0.6], "hole_width_range": [0.1, 0.6], "p": 1.0}),
    ("Erasing", {"scale": [0.2, 0.5], "p": 1.0}),
    ("GridDropout", {"ratio": 0.6, "p": 1.0}),
]


@pytest.mark.parametrize("step", HOLES, ids=lambda step: step[0])
@pytest.mark.parametrize("around", ["alone", "in a composition"])
@given(seed=seeds, limit=st.sampled_from([0.0, 0.1, 0.5]))
@everywhere
def test_a_box_of_which_too_little_is_seen_is_left_out_and_others_stay_as_they_were(step, around, seed, limit):
    picture, boxes = drawn(120, 140, [0, 3, 5], np.random.default_rng(seed))
    steps = [step] if around == "alone" else [("OneOf", {"transforms": [{"type": step[0], "args": step[1]}], "p": 1.0})]
    covered, found, kept = pipeline(*steps).with_boxes(picture, boxes, seed, 0.0, limit)
    np.testing.assert_allclose(found, boxes[kept], atol=1e-3)
    for place, number in enumerate([0, 3, 5]):
        seen = pixels(covered, number, 1).sum() / pixels(picture, number, 1).sum()
        assert (place in kept) == (seen > 0 and seen >= limit), seen


def test_a_hole_that_leaves_too_few_pixels_takes_the_box():
    boxes = np.array([[0.0, 0.0, 0.5, 0.5, 7]])
    holes, rest = np.array([[0, 0, 50, 40]]), {"shape": (100, 100, 3), "min_visibility": 0.0}
    assert uncovered(boxes, holes=holes, min_area=500, **rest).tolist() == boxes.tolist()
    assert uncovered(boxes, holes=holes, min_area=501, **rest).shape == (0, 5)


def test_a_picture_without_boxes_goes_through_every_step():
    picture = np.zeros((50, 50, 3), np.uint8)
    steps = pipeline(("RandomCrop", {"height": 40, "width": 40, "p": 1.0}), ("Affine", {"rotate": [-10, 10], "p": 1.0}))
    picture, boxes, kept = steps.with_boxes(picture, np.zeros((0, 4)), 3, 0.0, 0.0)
    assert picture.shape == (40, 40, 3) and boxes.shape == (0, 4) and kept.shape == (0,)


def test_a_pipeline_shows_the_same_picture_with_boxes_and_without():
    picture, boxes = drawn(80, 90, [0, 1], np.random.default_rng(0))
    steps = pipeline(
        ("Affine", {"rotate": [-10, 10], "p": 0.7}), ("RandomBrightnessContrast", {"p": 0.5}), ("HorizontalFlip", {})
    )
    for seed in range(20):
        np.testing.assert_array_equal(steps(picture, seed), steps.with_boxes(picture, boxes, seed, 0.0, 0.0)[0])


def test_what_leaves_the_canvas_is_cut_off():
    canvas, picture = blank((10, 10)), np.zeros((4, 4, 3), np.uint8)
    for top, left in ((-2, -2), (8, 8), (-9, 3), (3, 20)):
        paste(canvas, picture, Placement((4, 4), (4, 4), top, left))
    black = (canvas == 0).all(axis=2)
    assert black.sum() == 8 and black[:2, :2].all() and black[8:, 8:].all()


@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_a_fitted_size_fits_and_keeps_its_proportions(original, frame):
    height, width = fitted(original, frame)
    assert height <= frame[0] and width <= frame[1] and (height == frame[0] or width == frame[1])
    assert abs(height / width - original[0] / original[1]) <= 2 * max(height, width) / min(height, width) / min(height, width)


def test_a_common_frame_is_the_smallest_of_whole_multiples():
    assert common_frame([(20, 64), (33, 10)], 32) == (64, 64)
    assert common_frame([(1, 1)], 32) == (32, 32)
