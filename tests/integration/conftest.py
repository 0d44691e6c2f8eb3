"""The app without a browser, in a folder with runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, run_folders, succeed


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`open_app(folder, "Runs", run="a/b")` opens a view on the runs below `folder/saved`."""
    from streamlit.testing.v1 import AppTest

    def open_view(folder: Path, view: str = "Runs", **query: str) -> AppTest:
        monkeypatch.chdir(folder)
        page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        for name, value in {"view": view, **query}.items():
            page.query_params[name] = value
        return page.run()

    return open_view


@pytest.fixture
def app(open_app: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """`app("Runs", run="a/b")` opens a view on the runs below `tmp_path/saved`."""
    return lambda view="Runs", **query: open_app(tmp_path, view, **query)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """`system(part)` trains the run of a `tests.<task>.app_system`, predicts its validation pictures, and returns its folder."""
    made: dict[str, Path] = {}

    def train(part: Any) -> Path:
        if part.CONFIG not in made:
            made[part.CONFIG] = _trained(part, tmp_path_factory.mktemp(part.CONFIG))
        return made[part.CONFIG]

    return train


def _trained(part: Any, folder: Path) -> Path:
    part.write_data(folder / "data")
    values = {"extends": str(ROOT / "configs" / f"{part.CONFIG}.json"), "name": part.CONFIG, **json.loads(json.dumps(part.SMALL))}
    values["data_loader"]["args"] |= {"data_dir": str(folder / "data"), "num_workers": 0}
    values["trainer"] = {
        "epochs": 1, "validate_every": 1, "precision": "fp32", "save_dir": str(folder / "saved"), "tensorboard": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values))
    succeed(folder, "train.py", "-c", folder / "config.json")
    succeed(folder, "test.py", "-r", run_folders(folder)[0], "--split", "valid")
    return folder
