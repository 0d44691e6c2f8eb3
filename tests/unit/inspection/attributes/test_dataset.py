"""The data set of a run as the app looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inspection import dataset
from inspection.dataset import Data, open_data
from utils import config
from utils.errors import UserError


@pytest.fixture
def data(tiny_config: Callable[..., Path], tmp_path: Path) -> Data:
    """The tiny data, as a run's config names them."""
    values = config.read(tiny_config()).values
    path = tmp_path / "run.json"
    path.write_text(json.dumps(values))
    return open_data(path)


def test_balance_counts_every_sample_once_on_its_side_and_once_in_its_fold(data: Data) -> None:
    table = dataset.balance(data)
    mask = table[table["label"] == "mask"]
    number = len(data.table("train")) + len(data.table("valid"))
    assert mask[mask["side"].isin(["train", "valid"])]["samples"].sum() == number
    assert mask[mask["side"].str.startswith("fold")]["samples"].sum() == number
    assert set(mask["side"]) == {"train", "valid", "fold 0", "fold 1", "fold 2", "fold 3", "fold 4"}


def test_augmentation_of_a_seed_is_what_training_shows_in_that_epoch(data: Data) -> None:
    shown = dataset.augmented(data, 3, 5, 4)
    assert len({image.tobytes() for image in shown}) > 1
    assert all((a == b).all() for a, b in zip(shown, dataset.augmented(data, 3, 5, 4), strict=True))
    batch = next(rows for rows in data.loader.order(5) if 3 in rows)
    trained = next(item for item in data.loader.train(5) if 3 in item["index"].tolist())
    place = trained["index"].tolist().index(3)
    assert len(batch) and (trained["image"][place].permute(1, 2, 0).numpy() == shown[0]).all()


def test_data_that_are_gone_are_one_error(tmp_path: Path, tiny_config: Callable[..., Path]) -> None:
    path = tiny_config({"data_loader.args.data_dir": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="gone"):
        open_data(path)
