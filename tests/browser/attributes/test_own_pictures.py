"""What a person does with pictures of their own: two models side by side, the camera, all of it on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attributes.app_world import LABELS, MASKS, portrait
from tests.browser.conftest import Person

PHONE = {"width": 390, "height": 800}


OUTSIDE = """width => [...document.querySelectorAll('[data-testid=stMain] :is(button, input, [role=combobox], [role=slider])')]
    .filter(one => one.checkVisibility({opacityProperty: true, visibilityProperty: true}))
    .map(one => [one.getBoundingClientRect(), one.ariaLabel || one.innerText || one.outerHTML.slice(0, 80)])
    .filter(([place, name]) => place.width > 1 && (place.left < 0 || place.right > width))
    .map(([place, name]) => name)"""


@pytest.fixture
def phone(visitor: Callable[..., Person]) -> Person:
    """Somebody with a phone."""
    return visitor(viewport=PHONE)


def test_two_checkpoints_answer_for_one_picture_side_by_side(person: Person, world: Path, attributes_run: str) -> None:
    person.open("Predict", attributes_run, **{"against": attributes_run, "against-model": "last.pth"})
    person.upload(portrait(world))
    person.page.get_by_text("as the model sees it").nth(1).wait_for()
    person.ready()
    columns = [
        person.page.get_by_text(f"{attributes_run}/{name}", exact=True).bounding_box() for name in ("best.pth", "last.pth")
    ]
    assert columns[0]["y"] == columns[1]["y"] and columns[0]["x"] < columns[1]["x"]
    for label in LABELS:
        assert person.page.get_by_text(f"{label}: ").count() == 2


def test_a_photo_from_the_camera_is_answered(visitor: Callable[..., Person], attributes_run: str) -> None:
    person = visitor(permissions=["camera"]).open("Predict", attributes_run)
    person.page.get_by_text("Camera", exact=True).click()
    person.page.wait_for_function("document.querySelector('[data-testid=stCameraInput] video')?.videoWidth > 0")
    person.page.get_by_role("button", name="Take Photo").click()
    person.page.get_by_text("as the model sees it").wait_for()
    person.ready()
    assert person.page.get_by_text("mask: ").count() == 1


def fits(phone: Person) -> None:
    """Nothing scrolls sideways, and every control that can be seen is within the screen."""
    assert phone.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    assert phone.page.evaluate(OUTSIDE, PHONE["width"]) == []


def test_on_a_phone_a_picture_is_predicted_and_explained(phone: Person, world: Path, attributes_run: str) -> None:
    phone.open("Predict", attributes_run, why="true")
    fits(phone)
    phone.upload(portrait(world))
    phone.page.get_by_text("warm: what speaks for it").wait_for()
    phone.ready()
    fits(phone)
    for label in LABELS:
        assert phone.page.get_by_text(f"{label}: ").first.is_visible()


@pytest.mark.parametrize("part", ["Balance", "Files", "Augmentation"])
def test_on_a_phone_every_part_of_data_fits(phone: Person, part: str) -> None:
    phone.open("Data", MASKS, part=part)
    fits(phone)


def test_on_a_phone_the_menu_chooses_another_view(phone: Person) -> None:
    phone.open("Data", MASKS)
    phone.page.get_by_test_id("stExpandSidebarButton").click()
    phone.page.get_by_test_id("stSidebar").get_by_text("Mistakes", exact=True).click()
    phone.page.get_by_role("heading", name="Mistakes", level=1).wait_for()
    phone.ready()
    assert "view=Mistakes" in phone.page.url
