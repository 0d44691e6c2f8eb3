"""What is in its box is what every part of the project sees of a picture; a box file that does not suit is named by line."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from base.pseudo_labels import PseudoLabels
from data_loader.crop import crops
from data_loader.crop.crops import Crops, read_boxes
from data_loader.crop.cut_pictures import NO_CROPPERS
from data_loader.image_loader import ImageLoader
from data_loader.pictures.decode import ImageError, decode_image, read_image
from utils.config import ConfigError
from utils.errors import UserError

RED, GREEN = (220, 30, 30), (20, 200, 40)
HEADER = "path,s_X,s_Y,e_X,e_Y\n"
BOX = (9, 5, 25, 29)


def encoded(image: np.ndarray, suffix: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, suffix, **options)
    return file.getvalue()


def drawn(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """Green, but for a red rectangle."""
    image = np.full((*size, 3), GREEN, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = RED
    return image


def all_red(image: Any, tolerance: int = 12) -> bool:
    """image: (h, w, 3) or (…, 3, h, w)."""
    pixels = np.asarray(image).astype(int)
    pixels = pixels if pixels.shape[-1] == 3 else np.moveaxis(pixels, -3, -1)
    return bool((abs(pixels - RED) <= tolerance).all())


# One picture --------------------------------------------------------------------------------------------------------


def test_a_png_is_cut_exactly() -> None:
    assert all_red(decode_image(encoded(drawn((40, 60), BOX)), None, BOX), 0)
    assert decode_image(encoded(drawn((40, 60), BOX)), None, BOX).shape == (24, 16, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, (200, 150), (60, 45), (12, 9)], ids=str)
def test_a_box_counts_upright_pixels_however_small_a_jpeg_is_decoded(orientation: int, size: tuple[int, int] | None) -> None:
    box = (163, 121, 613, 721)
    upright = drawn((900, 700), (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2))
    turned = PIL.Image.fromarray(upright)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpositions that EXIF's viewers undo
    if orientation > 1:
        turned = turned.transpose(PIL.Image.Transpose(back[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.asarray(turned), "JPEG", quality=98, subsampling=0, exif=exif)
    assert np.abs(decode_image(content).astype(int) - upright).mean() < 3  # the test itself turns pictures rightly
    cut = decode_image(content, size, box)
    assert cut.shape[:2] == (size or (600, 450))
    assert all_red(cut, 30)


def test_a_reduced_cut_is_as_large_as_an_exact_one() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 1600).astype(np.uint8)[None, :, None], (1200, 1600, 3))
    content, box = encoded(np.ascontiguousarray(ramp), "JPEG", quality=98), (203, 101, 1403, 1001)
    exact = cv2.resize(decode_image(content)[101:1001, 203:1403], (40, 30), interpolation=cv2.INTER_AREA)
    assert np.abs(decode_image(content, (30, 40), box).astype(int) - exact).max() <= 2


def test_a_picture_smaller_than_its_box_is_refused() -> None:
    with pytest.raises(ImageError, match=r"has 30 x 20 pixels, and its box \(5, 5, 31, 20\) is not within them"):
        decode_image(encoded(drawn((20, 30), (0, 0, 1, 1))), (8, 8), (5, 5, 31, 20))


# The loader ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def marked(masks_folder: Path, tmp_path: Path) -> Path:
    """The tiny data set with a red rectangle in each green picture, and boxes.csv of them."""
    folder = Path(shutil.copytree(masks_folder, tmp_path / "masks"))
    lines = []
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        x, y = number % 7, number % 5
        box = (4 + x, 3 + y, 20 + x, 24 + y)
        path.write_bytes(
            encoded(drawn((32, 32), (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1)), "JPEG", quality=98, subsampling=0)
        )
        lines.append(f"{path.relative_to(folder).as_posix()},{','.join(map(str, box))}\n")
    (folder / "boxes.csv").write_text(HEADER + "".join(lines))
    return folder


@pytest.fixture
def cropped(make_loader: Callable[..., ImageLoader], marked: Path) -> Callable[..., ImageLoader]:
    """`cropped(outside="clip")` is a loader of `marked` with these settings of `crops`; `changes` are other arguments."""

    def make(changes: dict[str, Any] | None = None, **settings: Any) -> ImageLoader:
        plain = {
            "data_dir": str(marked),
            "train_transforms": [],
            "split": {"group": "person", "valid": 0.2, "check_bytes": False},
        }
        return make_loader(**{**plain, "crops": {"file": "boxes.csv", **settings}, **(changes or {})})

    return make


@pytest.mark.parametrize("cache_mb", [0, 64])
@pytest.mark.parametrize("workers", [0, 1])
def test_training_and_evaluation_see_only_what_is_in_the_box(cropped: Any, workers: int, cache_mb: int) -> None:
    loader = cropped({"num_workers": workers, "cache_mb": cache_mb})
    for _ in range(2):  # the second time from the cache
        assert all(all_red(batch["image"]) for batch in loader.train(0))
    for split in ("valid", "test"):
        assert all(all_red(batch["image"]) for _, batch in loader.evaluation(split))
        assert all_red(loader.picture(split, 3))


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_adopted_pictures_are_cut_to_their_boxes(cropped: Any, cache_mb: int) -> None:
    loader = cropped({"cache_mb": cache_mb})
    assert all(all_red(batch["image"]) for batch in loader.train(0))  # boxes of the table of before are known
    rows = np.array([0, 2])
    loader.adopt("test", PseudoLabels.joined([("mask", rows, np.array([1, 2]), np.array([0.9, 0.8]))]), 1.0)
    seen = list(loader.train(1))
    assert sum(len(batch["index"]) for batch in seen) == len(loader.table("train"))
    assert all(all_red(batch["image"]) for batch in seen)


def test_without_crops_the_green_is_seen_too(cropped: Any) -> None:
    loader = cropped({"crops": None})
    assert not any(all_red(batch["image"]) for batch in loader.train(0))


def test_another_picture_goes_through_the_croppers(cropped: Any) -> None:
    loader = cropped({"croppers": [{"type": "GrabCutCropper"}]})
    image = drawn((96, 128), (44, 30, 86, 72))
    seen, affine, note = loader.pictures.preprocess(loader.pictures.decode(encoded(image)))
    inner = seen[:, 3:-3, 3:-3]
    assert all_red(inner) and seen.shape == (3, 28, 24)
    corners = affine @ torch.tensor([[0.0, 24.0], [0.0, 28.0], [1.0, 1.0]])
    assert (corners.T - torch.tensor([[44.0, 30.0], [86.0, 72.0]])).abs().max() <= 4
    assert note == loader.pictures.found(image)[1] == "cut to what GrabCutCropper finds"


def test_without_croppers_another_picture_stays_whole_and_that_is_said(cropped: Any) -> None:
    image = drawn((96, 128), (44, 30, 86, 72))
    assert cropped().pictures.found(image) == ((0, 0, 128, 96), NO_CROPPERS)
    assert not all_red(cropped().pictures.preprocess(image)[0])


def test_the_margin_widens_every_box_up_to_the_border() -> None:
    assert Crops(file="", margin=0.5).around((10, 20, 20, 60), (70, 100)) == (5, 0, 25, 70)


def test_the_boxes_are_in_the_report_the_table_and_the_source(cropped: Any, marked: Path) -> None:
    loader = cropped()
    assert f"pictures are cut to the boxes of {marked / 'boxes.csv'}" in loader.report()
    assert crops.boxes_of(loader.table("test")).min() >= 3
    assert loader.source()["data_loader.args.crops"] == loader.fingerprint()["data_loader.args.crops"]
    assert loader.pictures.preprocessing()["crops"]["file"] == "boxes.csv"


def test_the_fingerprint_follows_the_boxes_that_are_trained_on_and_no_others(cropped: Any, marked: Path) -> None:
    before, path = cropped().fingerprint(), marked / "boxes.csv"
    lines = path.read_text().splitlines()
    test = next(number for number, line in enumerate(lines) if line.startswith("eval/"))
    train = next(number for number, line in enumerate(lines) if line.startswith("train/"))
    for number, same in ((test, True), (train, False)):
        name, *_ = lines[number].split(",")
        path.write_text("\n".join([*lines[:number], f"{name},3,3,9,9", *lines[number + 1 :]]))
        assert (cropped().fingerprint() == before) is same


def test_paths_may_count_from_the_readers_root(cropped: Any, marked: Path) -> None:
    path = marked / "boxes.csv"
    path.write_text(path.read_text().replace("train/images/", "").replace("eval/images/", "./"))
    loader = cropped()
    assert all_red(loader.picture("valid", 0)) and all_red(loader.picture("test", 0))


# Wrong boxes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1,1,nan,9", r"the box \(1, 1, nan, 9\) is no four numbers"),
        ("1,1,inf,9", r"the box \(1, 1, inf, 9\) is no four numbers"),
        ("1,,5,9", r"the box \(1, , 5, 9\) is no four numbers"),
        ("9,1,5,9", r"the box \(9, 1, 5, 9\) has its corners swapped"),
        ("1,9,5,9", r"the box \(1, 9, 5, 9\) has no area"),
        ("1,1,33,9", r"the box \(1, 1, 33, 9\) is not within the picture's 32 x 32 pixels"),
        ("-1,1,3,9", r"the box \(-1, 1, 3, 9\) is not within"),
    ],
)
def test_a_box_that_cannot_be_is_named_with_its_line(cropped: Any, marked: Path, cells: str, message: str) -> None:
    path = marked / "boxes.csv"
    lines = path.read_text().splitlines()
    name = lines[5].split(",")[0]
    path.write_text("\n".join([*lines[:5], f"{name},{cells}", *lines[6:]]))
    loader = cropped()
    with pytest.raises(UserError, match=f"boxes.csv: line 6: {name}: {message}"):
        [loader.table(split) for split in ("train", "test")]


def test_boxes_are_clipped_where_the_config_says_so_and_counted(cropped: Any, marked: Path) -> None:
    path = marked / "boxes.csv"
    path.write_text(
        "\n".join(f"{line.rpartition(',')[0]},99" if "train/" in line else line for line in path.read_text().splitlines())
    )
    loader = cropped(outside="clip")
    assert any(", 112 of them clipped to their picture" in line for line in loader.report())
    assert crops.boxes_of(loader.table("train"))[:, 3].tolist() == [32] * len(loader.table("train"))


def test_a_box_beside_its_picture_cannot_be_clipped(cropped: Any, marked: Path) -> None:
    path = marked / "boxes.csv"
    lines = path.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("train/"))
    path.write_text("\n".join([*lines[:place], f"{lines[place].split(',')[0]},40,1,50,9", *lines[place + 1 :]]))
    with pytest.raises(UserError, match="is not within the picture's 32 x 32"):
        cropped(outside="clip").table("train")


def test_a_picture_without_a_box_is_named(cropped: Any, marked: Path) -> None:
    path = marked / "boxes.csv"
    kept = [line for line in path.read_text().splitlines() if "normal" not in line]
    path.write_text("\n".join(kept))
    with pytest.raises(UserError, match=r"boxes.csv: \d+ pictures have no box \(train/images/.*normal.jpg.*crop writes"):
        cropped().table("train")


def test_a_picture_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(HEADER + "a.jpg,0,0,5,5\nb.jpg,0,0,5,5\n./a.jpg,0,0,6,6\n")
    with pytest.raises(UserError, match=r"boxes.csv: line 4: ./a.jpg: is listed on line 2 too"):
        read_boxes(path)


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("path,s_x,s_Y,e_X,e_Y\na.jpg,0,0,5,5\n")
    with pytest.raises(UserError, match=r"boxes.csv: line 1: no column s_X \(did you mean \"s_x\""):
        read_boxes(path)


def test_of_many_wrong_lines_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(HEADER + "".join(f"{number}.jpg,0,0,0,5\n" for number in range(50)))
    with pytest.raises(UserError) as error:
        read_boxes(path)
    assert len(str(error.value).splitlines()) == 21 and str(error.value).endswith("… and 30 more")


def test_a_picture_that_cannot_be_read_needs_no_box(cropped: Any, marked: Path) -> None:
    loader = cropped()
    broken = sorted((marked / "eval" / "images").iterdir())[0]
    broken.write_bytes(b"no picture")
    path = marked / "boxes.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if broken.name not in line))
    errors = [text for _, batch in loader.evaluation("test") for text in batch["error"]]
    assert sum(map(bool, errors)) == 1


def test_croppers_without_crops_are_refused(cropped: Any) -> None:
    with pytest.raises(ConfigError, match="data_loader.args.croppers: only together with crops"):
        cropped({"crops": None, "croppers": [{"type": "GrabCutCropper"}]})


def test_the_whole_picture_is_read_where_there_is_no_box(marked: Path) -> None:
    path = sorted(marked.rglob("*.jpg"))[0]
    assert (read_image(path, (28, 24), None) == read_image(path, (28, 24))).all()
