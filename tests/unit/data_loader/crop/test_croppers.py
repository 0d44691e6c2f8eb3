"""Croppers find what is there, in the picture's own pixels, and are asked in their order; models that do not fit are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_loader.crop.croppers import BaseCropper, CropperBoxes, GrabCutCropper, look
from data_loader.crop.onnx_croppers import (
    OnnxDetectorCropper,
    OnnxDetectorSettings,
    OnnxSegmenterCropper,
    OnnxSegmenterSettings,
    YunetCropper,
)
from tests.onnx_models import write_brightness, write_constant, write_yunet
from utils.errors import UserError

DARK = np.full((120, 160, 3), 20, np.uint8)


def bright_square(x: int, y: int, side: int) -> np.ndarray:
    """160 x 120 pixels, dark but for a white square."""
    image = DARK.copy()
    image[y : y + side, x : x + side] = 255
    return image


class Fixed(BaseCropper):
    """Always finds the same."""

    def __init__(self, *boxes: tuple[float, ...], confidences: tuple[float, ...] = ()) -> None:
        self.boxes, self.confidences = boxes, confidences or (0.5,) * len(boxes)

    def find(self, image: np.ndarray) -> CropperBoxes:
        return CropperBoxes(np.array(self.boxes, float).reshape(-1, 4), np.array(self.confidences))


# The order ----------------------------------------------------------------------------------------------------------


def test_the_first_cropper_that_finds_something_large_enough_is_believed() -> None:
    seen = look(DARK, [Fixed(), Fixed((0, 0, 9, 50)), Fixed((10, 20, 40, 60)), Fixed((0, 0, 99, 99))], min_size=10)
    assert seen.box == (10, 20, 40, 60)
    assert [outcome for _, outcome in seen.outcomes] == ["none", "too small", "one"]


def test_of_several_boxes_the_surest_counts() -> None:
    seen = look(DARK, [Fixed((0, 0, 50, 50), (50, 50, 99, 99), confidences=(0.3, 0.9))], min_size=10)
    assert (seen.box, seen.confidence, seen.outcomes) == ((50, 50, 99, 99), 0.9, [("Fixed", "several")])


def test_what_leaves_the_picture_is_cut_off_before_its_size_counts() -> None:
    assert look(DARK, [Fixed((-30, -30, 5, 60))], min_size=10).box is None
    assert look(DARK, [Fixed((-30.4, 10.6, 50.4, 999))], min_size=10).box == (0, 11, 50, 120)


def test_where_nothing_is_found_there_is_no_box() -> None:
    assert look(DARK, [Fixed()], min_size=1) == (None, "", 0.0, [("Fixed", "none")])


# GrabCut ------------------------------------------------------------------------------------------------------------


def test_grabcut_finds_a_square_of_another_colour() -> None:
    (box,), confidences = GrabCutCropper().find(bright_square(50, 30, 60))
    assert np.abs(box - [50, 30, 110, 90]).max() <= 5
    assert confidences == [1]


def test_grabcut_finds_the_face_of_a_synthetic_portrait() -> None:
    from data_loader.synthetic.people import casual_shot, person
    from data_loader.synthetic.portraits import draw

    found = 0
    for index in range(6):
        portrait = draw(person(3, index), casual_shot(index, "not_worn"), (128, 96), index)
        eyes = np.array([[box.x1, box.y1, box.x2, box.y2] for box in portrait.boxes if "eye" in box.name])
        box = look(portrait.image, [GrabCutCropper()], 16).box
        centres = (eyes[:, :2] + eyes[:, 2:]) / 2
        found += box is not None and bool(((centres >= box[:2]) & (centres <= box[2:])).all())
    assert found >= 5


def test_grabcut_says_the_same_each_time() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    assert (GrabCutCropper().find(image).boxes == GrabCutCropper().find(image).boxes).all()


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_grabcut_finds_nothing_in_a_picture_of_a_few_pixels(size: tuple[int, int]) -> None:
    assert not len(GrabCutCropper().find(np.zeros((*size, 3), np.uint8)).boxes)


def detector(path: Path, **settings: Any) -> OnnxDetectorCropper:
    return OnnxDetectorCropper(OnnxDetectorSettings(model=str(path), **settings))


def segmenter(path: Path, **settings: Any) -> OnnxSegmenterCropper:
    return OnnxSegmenterCropper(OnnxSegmenterSettings(model=str(path), **settings))


# Models -------------------------------------------------------------------------------------------------------------


def test_yunet_finds_a_bright_face_in_the_pixels_of_the_picture(tmp_path: Path) -> None:
    path = write_yunet(tmp_path / "yunet.onnx", side=32)
    image = np.zeros((240, 320, 3), np.uint8)
    image[64:96, 128:160] = 255
    for factor in (1, 2):  # twice as large: the network sees it at half size
        large = image.repeat(factor, 0).repeat(factor, 1)
        (best, *_), scores = YunetCropper(str(path), side=320, score=0.9).find(large)
        assert np.abs(best - factor * np.array([128, 64, 160, 96])).max() <= 8 * factor
        assert scores[0] > 0.9


def test_yunet_finds_no_face_in_the_dark(tmp_path: Path) -> None:
    assert not len(YunetCropper(str(write_yunet(tmp_path / "yunet.onnx", 32))).find(DARK).boxes)


def test_a_detector_gives_the_boxes_of_its_class_after_suppression(tmp_path: Path) -> None:
    boxes = [[[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, 0.59], [0.6, 0.6, 0.9, 0.9], [0, 0, 1, 1]]]
    scores = [[[0.1, 0.9], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]]]
    path = write_constant(tmp_path / "d.onnx", {"scores": scores, "boxes": boxes})
    found = detector(path).find(DARK)
    np.testing.assert_allclose(found.boxes, [[16, 24, 80, 72], [96, 72, 144, 108]], atol=1e-4)
    np.testing.assert_allclose(found.confidences, [0.9, 0.8])


def test_boxes_in_pixels_are_those_of_the_networks_input(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "d.onnx", {"b": [[8.0, 6, 16, 12]], "s": [0.9]}, size=(24, 32))
    found = detector(path, boxes="b", scores="s", units="pixels").find(DARK)
    np.testing.assert_allclose(found.boxes, [[40, 30, 80, 60]])


def test_a_segmenter_gives_the_box_of_the_largest_piece(tmp_path: Path) -> None:
    path = write_brightness(tmp_path / "s.onnx", (60, 80))
    image = bright_square(40, 20, 60)
    image[100:110, 140:150] = 255
    cropper = segmenter(path, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
    (box,), (confidence,) = cropper.find(image)
    assert box.tolist() == [40, 20, 100, 80]
    assert confidence == pytest.approx(3600 / 3700, abs=0.01)


def test_a_segmenter_that_sees_nothing_finds_nothing(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "s.onnx", {"map": np.zeros((1, 1, 24, 32))})
    assert not len(segmenter(path).find(DARK).boxes)


DETECTOR: dict[str, Any] = {"boxes": np.zeros((1, 5, 4)), "scores": np.zeros((1, 5, 2))}


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        (DETECTOR | {"boxes": np.zeros((1, 5, 3))}, {}, r"its output boxes is 5 x 3; allowed: 1 x boxes x 4"),
        (DETECTOR | {"scores": np.zeros((1, 4, 2))}, {}, r"its output scores is 4; allowed: a score for each of 5 boxes"),
        (DETECTOR | {"scores": np.full((1, 5, 2), np.nan)}, {}, r"its output scores is not finite"),
        ({"loc": np.zeros((1, 5, 4))}, {}, r"has no output boxes; it has loc"),
        (DETECTOR, {"channels": 1}, r"takes input tensor\(float\) \[1, 1, 24, 32\]; allowed: one input of floats, 1 x 3"),
        (DETECTOR, {"size": ("h", "w")}, r"takes pictures of any size; say which in the cropper's size"),
    ],
)  # fmt: skip
def test_a_model_of_another_shape_is_named(tmp_path: Path, outputs: Any, options: Any, message: str) -> None:
    path = write_constant(tmp_path / "d.onnx", outputs, **options)
    with pytest.raises(UserError, match=f"d.onnx: {message}"):
        detector(path).find(DARK)


def test_a_map_of_another_shape_is_named(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "s.onnx", {"map": np.zeros((1, 2, 24, 32))})
    with pytest.raises(UserError, match="s.onnx: its output map is 2 x 24 x 32; allowed: 1 x 1 x height x width"):
        segmenter(path).find(DARK)


@pytest.mark.parametrize("cropper", [lambda path: YunetCropper(str(path)), detector, segmenter])
@pytest.mark.parametrize(
    ("content", "message"), [(b"no model", "is no ONNX file"), (b"", "is no ONNX file"), (None, "cannot be read")]
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, cropper: Any, content: bytes | None, message: str) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"m.onnx: {message}") as error:
        cropper(path).find(DARK)
    assert "\n" not in str(error.value)


def test_another_model_is_no_yunet(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "d.onnx", DETECTOR)
    with pytest.raises(UserError, match=r"d.onnx: is no YuNet of 2023: it lacks outputs \(bbox_16, .*it has boxes, scores"):
        YunetCropper(str(path)).find(DARK)


def test_a_yunet_whose_outputs_lack_cells_is_refused_before_opencv_reads_them(tmp_path: Path) -> None:
    cropper = YunetCropper(str(write_yunet(tmp_path / "m.onnx", side=32, coarse=2)))
    with pytest.raises(UserError, match=r"m\.onnx: is no YuNet: its output cls_8 is 1 x 400 x 1; allowed: 1 x 1600 x 1"):
        cropper.find(np.zeros((320, 320, 3), np.uint8))


def test_a_detector_whose_corners_are_swapped_is_refused(tmp_path: Path) -> None:
    outputs = {"boxes": [[[0.6, 0.1, 0.2, 0.5]]], "scores": [[[0.1, 0.9]]]}
    cropper = detector(str(write_constant(tmp_path / "m.onnx", outputs)))
    with pytest.raises(UserError, match="its output boxes has boxes with x2 < x1 or y2 < y1; allowed: x1 y1 x2 y2"):
        cropper.find(np.zeros((24, 32, 3), np.uint8))
