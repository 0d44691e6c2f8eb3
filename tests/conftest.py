"""Fixtures for everyone: a tiny data set, and tiny configs that train on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import write_config


@pytest.fixture(scope="session")
def masks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 people to train and validate on and 4 to predict, 32 x 32 pixels; not to be changed."""
    from data_loader.synthetic import write_masks

    folder = tmp_path_factory.mktemp("data") / "masks"
    write_masks(folder, people=16, eval_people=4, seed=1, size=(32, 32))
    return folder


@pytest.fixture
def tiny_config(masks_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`tiny_config({"trainer.epochs": 3})` writes a tiny config into `tmp_path`, by default as `config.json`."""

    def write(changes: dict[str, Any] | None = None, name: str = "config.json") -> Path:
        return write_config(tmp_path, masks_folder, changes, name)

    return write


@pytest.fixture
def one_thread() -> Any:
    """torch with one thread, as the scripts are run by the tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
