"""Models of two tasks answer for one picture."""

from __future__ import annotations

from pathlib import Path

from tests.attributes.app_world import portrait
from tests.browser.conftest import Person


def test_models_of_two_tasks_answer_for_one_picture(
    person: Person, world: Path, attributes_run: str, verification_run: str
) -> None:
    person.open("Predict", attributes_run, against=verification_run)
    person.upload(portrait(world))
    person.page.get_by_text("as the model sees it").nth(1).wait_for()
    person.ready()
    assert person.page.get_by_text("mask: ").count() == 1
    assert int(person.metric("Numbers in the embedding")) == 512
