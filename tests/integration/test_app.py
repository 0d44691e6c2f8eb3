"""The app on a run of the tiny config: what a person does, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers import ROOT, arguments, run_folders
from trainer.launch import launch
from utils import checkpoint


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AppTest]:
    """Opens the app in a folder whose runs are in `saved/`."""
    monkeypatch.chdir(tmp_path)
    return lambda: AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


@pytest.fixture
def run_folder(tiny_config: Callable[..., Path]) -> Path:
    """A run of one epoch."""
    path = tiny_config({"trainer.epochs": 1})
    launch(arguments(path))
    return run_folders(path.parent)[0]


def read_best(run_folder: Path) -> float:
    """The best monitored score as the last checkpoint holds it."""
    return float(checkpoint.load(run_folder / "last.pth")["monitor"]["best"])


def test_without_runs_it_says_what_to_do(app: Callable[[], AppTest]) -> None:
    page = app()
    assert not page.exception
    assert "make train" in page.info[0].value


def test_runs_lists_the_run_with_its_best_score(run_folder: Path, app: Callable[[], AppTest]) -> None:
    page = app()
    row = page.dataframe[0].value.iloc[0]
    assert not page.exception
    assert row["run"] == f"tiny/{run_folder.name}"
    assert row["status"] == "finished"
    assert row["best"] == read_best(run_folder)


def test_predict_answers_for_an_uploaded_picture(run_folder: Path, app: Callable[[], AppTest]) -> None:
    page = app()
    page.sidebar.radio[0].set_value("Predict").run()
    picture = cv2.imencode(".png", np.full((40, 30, 3), 128, np.uint8))[1].tobytes()
    page.file_uploader[0].upload("me.png", picture, "image/png").run()
    assert not page.exception
    assert [header.value.split(":")[0] for header in page.subheader] == ["mask", "gender", "age"]
    for table in page.dataframe:
        assert table.value["probability"].sum() == pytest.approx(1)


def test_predict_shows_what_is_wrong_with_a_file_that_is_no_picture(run_folder: Path, app: Callable[[], AppTest]) -> None:
    page = app()
    page.sidebar.radio[0].set_value("Predict").run()
    page.file_uploader[0].upload("me.png", b"no picture", "image/png").run()
    assert not page.exception
    assert "me.png: is no picture" in page.error[0].value


def test_a_damaged_checkpoint_is_a_message_in_its_place(run_folder: Path, app: Callable[[], AppTest]) -> None:
    for path in run_folder.glob("*.pth"):
        path.write_bytes(b"damaged")
    page = app()
    page.sidebar.radio[0].set_value("Predict").run()
    assert not page.exception
    assert "is damaged" in page.error[0].value
