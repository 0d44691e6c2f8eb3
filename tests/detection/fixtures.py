"""Fixtures of detection: a tiny data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.detection.formats import add_formats


@pytest.fixture(scope="session")
def drivers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures to train and validate on, annotated in every format; not to be changed."""
    from data_loader.detection.synthetic import write_drivers

    folder = tmp_path_factory.mktemp("data") / "drivers"
    write_drivers(folder, images=16, test_images=2, seed=1, size=(96, 128))
    add_formats(folder)
    return folder
