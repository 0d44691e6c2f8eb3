"""A run of each task, trained and evaluated as users do it, opened in every view of the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from inspection import results
from inspection.runs import Run
from inspection.views import views
from tests.helpers import run_folders
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


@pytest.mark.parametrize("part", ["Balance", "Files", "Augmentation"])
def test_every_part_of_data_opens(world: tuple[Any, Path], open_app: Callable[..., Any], part: str) -> None:
    page = open_app(world[1], "Data", part=part)
    assert not page.exception
    assert [error.value for error in page.error] == []
