"""The app's logic without a browser, on runs of any task: what is shown, and what stands in the place of what is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from inspection.views import views
from tests.app_world import write_answers
from tests.helpers import ROOT


@pytest.mark.parametrize("view", views())
def test_without_runs_every_view_says_what_to_do(app: Callable[..., AppTest], view: str) -> None:
    page = app(view)
    assert not page.exception
    assert "make train" in page.info[0].value


@pytest.mark.parametrize("view", views())
def test_a_run_in_which_everything_is_broken_is_a_message(app: Callable[..., AppTest], tmp_path: Path, view: str) -> None:
    run = write_answers(tmp_path, ["on", "off"])
    for path in (*run.folder.glob("*"), *run.log.rglob("*")):
        if path.is_file():
            path.write_bytes(b'PAR1{"a": [broken')
    assert not app(view).exception


def test_no_page_uses_raw_html() -> None:
    sources = [*(ROOT / "inspection").rglob("*.py"), ROOT / "app.py"]
    texts = {path.name: path.read_text() for path in sources}
    assert [name for name, text in texts.items() if "unsafe_allow" in text or "st.html" in text or "components" in text] == []
