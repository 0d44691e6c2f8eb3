"""A run of each task, trained and evaluated as users do it, opened in every view of the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

import laurel
from inspection import results
from inspection.runs import Run
from inspection.views import views
from tests.helpers import run_folders, succeed
from tests.tasks import parts

SYSTEMS = parts("app_system")


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda part: part.CONFIG)
def world(request: pytest.FixtureRequest, system: Callable[[Any], Path]) -> tuple[Any, Path]:
    """A task's `app_system`, and a folder with a run of it whose validation predictions are there."""
    return request.param, system(request.param)


@pytest.mark.parametrize("view", views())
def test_every_view_opens(world: tuple[Any, Path], open_app: Callable[..., Any], view: str) -> None:
    page = open_app(world[1], view)
    assert not page.exception
    assert page.title[0].value == view
    assert [error.value for error in page.error] == []


def test_the_kind_of_prediction_is_told(world: tuple[Any, Path]) -> None:
    part, folder = world
    assert part.KIND in results.kinds(Run(run_folders(folder)[0]))


def test_a_picture_is_answered_and_explained(world: tuple[Any, Path], open_app: Callable[..., Any]) -> None:
    part, folder = world
    path = next((folder / "data").rglob("*.jpg"))
    page = open_app(folder, "Predict", why="true")
    content = cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes()  # type: ignore[arg-type]
    page.file_uploader[0].upload("me.png", content, "image/png").run()
    assert not page.exception and not page.error
    assert part.answers(page)


def test_a_program_gets_a_table_of_its_pictures(world: tuple[Any, Path]) -> None:
    part, folder = world
    paths = sorted((folder / "data").rglob("*.jpg"))[:3]
    table = laurel.load(run_folders(folder)[0], device="cpu").predict(paths)
    assert list(table.columns) == part.COLUMNS
    assert set(table["picture"]) == set(map(str, paths))


def test_the_table_as_csv_has_a_number_in_each_cell(world: tuple[Any, Path], tmp_path: Path) -> None:
    _, folder = world
    path = next((folder / "data").rglob("*.jpg"))
    succeed(tmp_path, "laurel.py", "predict", "-r", run_folders(folder)[0], path, "-o", tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) >= 1
    assert all(name in ("picture", "class") or pd.api.types.is_numeric_dtype(table[name]) for name in table)


@pytest.mark.parametrize("part", ["Balance", "Files", "Augmentation"])
def test_every_part_of_data_opens(world: tuple[Any, Path], open_app: Callable[..., Any], part: str) -> None:
    page = open_app(world[1], "Data", part=part)
    assert not page.exception
    assert [error.value for error in page.error] == []
