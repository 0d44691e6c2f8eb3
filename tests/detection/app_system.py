"""A small run of detection, trained and evaluated as users do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_loader.detection.synthetic import write_drivers
from tests.detection.examples import SMALL as SMALL  # the same as that of an example

CONFIG, KIND = "drivers_balanced", "detection"
COLUMNS = ["picture", "class", "score", "x1", "y1", "x2", "y2"]  # of the table that `laurel.load(run).predict(pictures)` returns


def write_data(folder: Path) -> None:
    """Write 16 pictures to train and validate on."""
    write_drivers(folder, images=16, test_images=2, seed=1, size=(96, 128))


def answers(page: Any) -> Any:
    """Return what Predict shows of a picture."""
    return page.dataframe
