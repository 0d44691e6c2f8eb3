"""Loaders of the tiny data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from base.contracts import RunContext
from data_loader.image_loader import ImageLoader
from data_loader.prepare.section import build_loader
from utils import config

MASKS = Path(__file__).parents[3] / "configs" / "masks.json"
TINY = {"image_size": [28, 24], "batch_size": 16, "num_workers": 0}


@pytest.fixture
def make_loader(masks_folder: Path) -> Iterator[Callable[..., ImageLoader]]:
    """`make_loader(num_workers=2)` is the loader of configs/masks.json on the tiny data set, with these arguments changed."""
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
