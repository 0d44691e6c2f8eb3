"""The views of every task in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.app_world import learning, write_run
from tests.browser.conftest import Person
from tests.tasks import parts
from utils import files

LINKS = [("Runs", ""), *(link for part in parts("app_world") for link in part.LINKS)]  # views that show a run


def test_a_run_in_progress_moves_by_itself(person: Person, world: Path) -> None:
    run = write_run(world / "saved", "going/20260401-000000-0000", {"name": "going"}, learning(2), status="running")
    held = files.lock(run.models / ".lock")
    assert held is not None
    try:
        person.open("Runs")
        assert person.metric("In progress") == "1"
        files.write_json(run.models / "status.json", {"status": "finished"})
        person.page.wait_for_function("[...document.querySelectorAll('[data-testid=stMetricValue]')][1].innerText === '0'")
    finally:
        held.close()
        for folder in (run.models, run.log):
            shutil.rmtree(folder.parent)


def test_on_a_phone_nothing_is_wider_than_the_screen(visitor: Callable[..., Person]) -> None:
    phone = visitor(viewport={"width": 390, "height": 800})
    for view, run in LINKS:
        phone.open(view, run)
        wide = phone.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert (view, wide) == (view, 390)
