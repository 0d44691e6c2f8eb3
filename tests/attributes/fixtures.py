"""Fixtures of attributes: a tiny data set, tiny configs that train on it, and its loaders."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attributes.tiny import write_config
from tests.crop_boxes import add_boxes
from tests.helpers import ROOT

MASKS = ROOT / "configs" / "masks.json"
TINY = {"image_size": [28, 24], "batch_size": 16, "num_workers": 0}


@pytest.fixture(scope="session")
def masks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 people to train and validate on and 4 to predict, 32 x 32 pixels; not to be changed."""
    from data_loader.attributes.synthetic import write_masks

    folder = tmp_path_factory.mktemp("data") / "masks"
    write_masks(folder, people=16, eval_people=4, seed=1, size=(32, 32))
    return folder


@pytest.fixture(scope="session")
def cropped_folder(masks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`masks_folder` with a box for each picture; not to be changed."""
    folder = Path(shutil.copytree(masks_folder, tmp_path_factory.mktemp("data") / "masks"))
    add_boxes(folder)
    return folder


@pytest.fixture(scope="session")
def celeba_folder(masks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 pictures of `masks_folder` with lists as CelebA has them, two pictures of each person; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    attributes, parts, people = ["32", "Smiling Eyeglasses"], [], []
    for number, path in enumerate(sorted(masks_folder.rglob("*.jpg"))[:32]):
        name = f"{number:06}.jpg"
        shutil.copy(path, folder / "img_align_celeba" / name)
        attributes.append(f"{name} {1 if number % 2 else -1} {1 if number % 3 else -1}")
        parts.append(f"{name} {0 if number < 20 else 1 if number < 28 else 2}")
        people.append(f"{name} {number // 2}")
    lists = {"list_attr_celeba.txt": attributes, "list_eval_partition.txt": parts, "identity_CelebA.txt": people}
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def tiny_config(masks_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`tiny_config({"trainer.epochs": 3})` writes a tiny config into `tmp_path`, by default as `config.json`."""

    def write(changes: dict[str, Any] | None = None, name: str = "config.json") -> Path:
        return write_config(tmp_path, masks_folder, changes, name)

    return write


@pytest.fixture
def make_loader(masks_folder: Path) -> Iterator[Callable[..., Any]]:
    """`make_loader(num_workers=2)` is the loader of configs/masks.json on the tiny data set, with these arguments changed."""
    from base.contracts import RunContext
    from data_loader.image_loader import ImageLoader
    from data_loader.prepare.section import build_loader
    from utils import config

    made: list[ImageLoader] = []

    def make(seed: int = 1, **changes: Any) -> ImageLoader:
        values = config.read(MASKS).values
        values["data_loader"]["args"] |= {"data_dir": str(masks_folder), **TINY, **changes}
        loader = build_loader(config.from_values(values, "masks.json"), RunContext(seed))
        assert isinstance(loader, ImageLoader)
        made.append(loader)
        return loader

    yield make
    for loader in made:
        loader.close()


@pytest.fixture(scope="session")
def attributes_run(world: Path) -> str:
    """`name/id` of the run of the app's world that has a model."""
    return f"tiny/{next((world / 'saved/models/tiny').glob('*')).name}"
