"""Runs of verification in the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.app_world import write_answers
from tests.verification import app_system


def test_a_view_of_another_kind_of_prediction_says_so(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, ["on", "off"])
    page = app("Pairs")
    assert "predicts attributes; this view shows verification" in page.info[0].value


@pytest.mark.parametrize("part", ["Threshold", "Hardest pairs", "Your faces", "Map"])
def test_every_part_of_pairs_opens(system: Callable[[Any], Path], open_app: Callable[..., Any], part: str) -> None:
    page = open_app(system(app_system), "Pairs", part=part)
    assert not page.exception and not page.error
