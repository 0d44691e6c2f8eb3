"""A1 to A3: bombs, wrong types, too many and too large files, many sessions; names that are HTML; the address, XSRF."""

from __future__ import annotations

import concurrent.futures
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Person
from tests.unit.inspection.test_pictures import BOMBS

MEGABYTE = 2**20


def memory(server: str) -> int:
    """Resident bytes of the process that listens at the address; Linux only."""
    return int(next(line for line in status(server) if line.startswith("VmRSS")).split()[1]) * 1024


def status(server: str) -> list[str]:
    port = f"{urlsplit(server).port:04X}"
    inode = next(line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
                 if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A")  # fmt: skip
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(link.readlink().as_posix() == f"socket:[{inode}]" for link in folder.iterdir()):
                return (folder.parent / "status").read_text().splitlines()
        except OSError:
            continue
    raise AssertionError("nobody listens")


def files_named(content: bytes, number: int, name: str, kind: str) -> list[dict[str, Any]]:
    return [{"name": f"{place}-{name}", "mimeType": kind, "buffer": content} for place in range(number)]


def test_bombs_are_refused_in_a_second_and_take_no_memory(person: Person, server: str, trained: str) -> None:
    person.open("Predict", trained)
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


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(person: Person, trained: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * 21 * MEGABYTE)
    person.open("Predict", trained)
    sent: list[str] = []
    person.page.on("request", lambda request: sent.append(request.url) if "upload_file" in request.url else None)
    person.page.locator("input[type=file]").set_input_files(str(large))
    person.page.get_by_text("20.0MB or smaller").or_(person.page.get_by_text("20MB or smaller")).first.wait_for()
    assert sent == []


def test_a_gigabyte_sent_past_the_page_is_refused_and_takes_no_memory(server: str) -> None:
    before = memory(server)
    where = urlsplit(server)
    head = f"PUT /_stcore/upload_file/s/f HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {2**30}\r\n\r\n"
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=5) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(64):
                connection.sendall(b"\0" * MEGABYTE)
            answer = connection.recv(64)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert b" 200 " not in answer and b" 204 " not in answer
    assert memory(server) - before < 200 * MEGABYTE


def test_an_upload_without_its_token_is_forbidden(server: str) -> None:
    request = urllib.request.Request(f"{server}/_stcore/upload_file/session/file", b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    assert error.value.code == 403


def test_a_hundred_files_at_once_are_shown_up_to_the_limit(person: Person, server: str, world: Path, trained: str) -> None:
    content = sorted((world / "data/masks/eval/images").glob("*.jpg"))[0].read_bytes()
    person.open("Predict", trained)
    before = memory(server)
    person.page.locator("input[type=file]").set_input_files(files_named(content, 100, "face.jpg", "image/jpeg"))
    person.page.get_by_text("100 pictures; allowed: 20 at once").wait_for()
    person.page.get_by_text("as the model sees it").nth(19).wait_for()
    person.ready()
    assert person.page.get_by_text("as the model sees it").count() == 20
    assert memory(server) - before < 200 * MEGABYTE


def test_twenty_sessions_share_one_model_and_stay_alive(visitor: Callable[..., Person], server: str, trained: str) -> None:
    first = visitor().open("Predict", trained)
    before = memory(server)
    people = [first, *(Person(first.page.context.new_page(), first.address) for _ in range(19))]
    for person in people[1:]:
        person.page.goto(f"{person.address}/?view=Predict&run={trained}", wait_until="commit")
    for person in people:
        person.page.get_by_text("Upload a picture, or switch").wait_for(timeout=60_000)
    print(f"19 sessions more take {(memory(server) - before) / MEGABYTE:.0f} MB")
    assert memory(server) - before < 200 * MEGABYTE


def test_a_name_that_is_html_is_shown_as_text(person: Person, world: Path, trained: str) -> None:
    content = sorted((world / "data/masks/eval/images").glob("*.jpg"))[0].read_bytes()
    name = "<img src=x onerror=document.title='evil'> **bold** :smile: 사람 [a](javascript:alert(1)).jpg"
    person.open("Predict", trained)
    given = {name: content, f"bad {name}": b"x"}
    uploads = [{"name": named, "mimeType": "image/jpeg", "buffer": buffer} for named, buffer in given.items()]
    person.page.locator("input[type=file]").set_input_files(uploads)
    person.page.get_by_text("as the model sees it").wait_for()
    person.ready()
    assert name in person.text() and f"bad {name}" in person.text()
    assert person.page.locator("img[src=x], a[href^=javascript], strong:has-text('bold')").count() == 0
    assert person.page.title() == "Laurel"


def test_it_listens_on_this_machine_alone(server: str) -> None:
    port = urlsplit(server).port
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    six = Path("/proc/net/tcp6")
    listening += [line.split()[1] for line in six.read_text().splitlines()[1:] if line.split()[3] == "0A"] if six.exists() else []
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_sessions_at_once_are_answered(server: str) -> None:
    def ask(_: int) -> bytes:
        return bytes(urllib.request.urlopen(f"{server}/_stcore/health", timeout=10).read())

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(100))) == {b"ok"}
