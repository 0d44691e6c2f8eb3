"""Bombs, wrong types, too many and too large files, many sessions, and names that are HTML."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.conftest import Person
from tests.browser.test_safety import MEGABYTE, memory
from tests.unit.inspection.test_pictures import BOMBS


def files_named(content: bytes, number: int, name: str, kind: str) -> list[dict[str, Any]]:
    return [{"name": f"{place}-{name}", "mimeType": kind, "buffer": content} for place in range(number)]


def test_bombs_are_refused_in_a_second_and_take_no_memory(person: Person, server: str, attributes_run: str) -> None:
    person.open("Predict", attributes_run)
    before = memory(server)
    bombs = {name: content for name, content in BOMBS.items() if len(content) < 20_000_000}
    given = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": content} for name, content in bombs.items()]
    start = time.monotonic()
    person.page.locator("input[type=file]").set_input_files(given)
    person.page.get_by_test_id("stAlert").nth(len(given) - 1).wait_for()
    seconds = time.monotonic() - start
    person.ready()
    refused = [text for text in person.page.get_by_test_id("stAlert").all_inner_texts() if "allowed" in text]
    print(f"{len(refused)} bombs refused in {seconds:.2f} s, {(memory(server) - before) / MEGABYTE:.0f} MB more")
    assert len(refused) == len(given)
    assert seconds < 1 * len(given)
    assert memory(server) - before < 200 * MEGABYTE


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(person: Person, attributes_run: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * 21 * MEGABYTE)
    person.open("Predict", attributes_run)
    sent: list[str] = []
    person.page.on("request", lambda request: sent.append(request.url) if "upload_file" in request.url else None)
    person.page.locator("input[type=file]").set_input_files(str(large))
    person.page.get_by_text("20.0MB or smaller").or_(person.page.get_by_text("20MB or smaller")).first.wait_for()
    assert sent == []


def test_a_hundred_files_at_once_are_shown_up_to_the_limit(person: Person, server: str, world: Path, attributes_run: str) -> None:
    content = sorted((world / "data/masks/eval/images").glob("*.jpg"))[0].read_bytes()
    person.open("Predict", attributes_run)
    before = memory(server)
    person.page.locator("input[type=file]").set_input_files(files_named(content, 100, "face.jpg", "image/jpeg"))
    person.page.get_by_text("100 pictures; allowed: 20 at once").wait_for()
    person.page.get_by_text("as the model sees it").nth(19).wait_for()
    person.ready()
    assert person.page.get_by_text("as the model sees it").count() == 20
    assert memory(server) - before < 200 * MEGABYTE


def test_twenty_sessions_share_one_model_and_stay_alive(visitor: Callable[..., Person], server: str, attributes_run: str) -> None:
    first = visitor().open("Predict", attributes_run)
    before = memory(server)
    people = [first, *(Person(first.page.context.new_page(), first.address) for _ in range(19))]
    for person in people[1:]:
        person.page.goto(f"{person.address}/?view=Predict&run={attributes_run}", wait_until="commit")
    for person in people:
        person.page.get_by_text("Upload a picture, or switch").wait_for(timeout=60_000)
    print(f"19 sessions more take {(memory(server) - before) / MEGABYTE:.0f} MB")
    assert memory(server) - before < 200 * MEGABYTE


def test_a_name_that_is_html_is_shown_as_text(person: Person, world: Path, attributes_run: str) -> None:
    content = sorted((world / "data/masks/eval/images").glob("*.jpg"))[0].read_bytes()
    name = "<img src=x onerror=document.title='evil'> **bold** :smile: 사람 [a](javascript:alert(1)).jpg"
    person.open("Predict", attributes_run)
    given = {name: content, f"bad {name}": b"x"}
    uploads = [{"name": named, "mimeType": "image/jpeg", "buffer": buffer} for named, buffer in given.items()]
    person.page.locator("input[type=file]").set_input_files(uploads)
    person.page.get_by_text("as the model sees it").wait_for()
    person.ready()
    assert name in person.text() and f"bad {name}" in person.text()
    assert person.page.locator("img[src=x], a[href^=javascript], strong:has-text('bold')").count() == 0
    assert person.page.title() == "Laurel"
