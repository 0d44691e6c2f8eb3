"""A folder of pictures of people, and the parts of a loader without any label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from base.contracts import DataSpec, RunContext
from base.table import SampleTable
from data_loader.batches.batches import Batches
from data_loader.crop.crops import Crops
from data_loader.formats.pattern_reader import PatternReader
from data_loader.image_loader import ImageLoaderSettings
from data_loader.pictures.pictures import Pictures
from data_loader.samples.samples import Samples
from data_loader.samples.splits import Split

SIZE = (16, 12)


def write_people(folder: Path, people: int = 8, shots: int = 3) -> Path:
    """Write `train/PERSON_SHOT.png` of noise, 24 x 18 pixels, and two pictures to predict below `test`."""
    rng = np.random.default_rng(0)
    names = [f"train/p{person}_{shot}.png" for person in range(people) for shot in range(shots)]
    for name in [*names, "test/a.png", "test/b.png"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (24, 18, 3), np.uint8))
    return folder


def settings_of(folder: Path, **changes: Any) -> ImageLoaderSettings:
    """Return the settings of a loader of these pictures, read in this process unless `num_workers` is given."""
    reader = PatternReader("(?P<person>[^_]+)_.*", "train")
    values: dict[str, Any] = {"image_size": SIZE, "batch_size": 4, "num_workers": 0} | changes
    return ImageLoaderSettings(data_dir=str(folder), reader=reader, **values)


class People(Samples):
    """Pictures of people without any label, a quarter of the people held out."""

    def __init__(self, settings: ImageLoaderSettings, crops: Crops | None = None) -> None:
        super().__init__(settings, settings.image_size, DataSpec(), crops)
        self.split, self.test_reader = Split(group="person", valid=0.25), PatternReader(".*", "test")
        self.divisions = 0

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table as it is."""
        self.divisions += required
        return table


def batches_of(folder: Path, seed: int = 1, **changes: Any) -> Batches:
    """Return the batches of these pictures."""
    settings = settings_of(folder, **changes)
    return Batches(RunContext(seed), settings, People(settings), Pictures(settings))
