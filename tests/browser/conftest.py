"""The app in Debian's Chromium: one server and one browser for all tests, which skip, saying so, where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.app_world import write_world
from tests.helpers import ENVIRONMENT, ROOT
from tests.tasks import parts

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
SCREENSHOTS = ROOT / "docs" / "app" if os.environ.get("SCREENSHOTS") else None
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # a green picture with a clock, and no question
PATIENCE = 60_000  # milliseconds, for a machine with other things to do
LOADED = """() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner], [data-stale=true]')
    && [...document.images].every(image => image.complete)"""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of each task, some of which have a model; not to be changed but for marks."""
    folder = write_world(tmp_path_factory.mktemp("world"))
    (folder / "train").mkdir()
    for part in parts("app_world"):
        if hasattr(part, "train_run"):
            part.train_run(folder / "data", folder / "saved", folder / "train")
    return folder


@pytest.fixture(scope="session")
def server(world: Path) -> Iterator[str]:
    """The app's address, started as a user would start it, from another folder than its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    with (world / "server.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=world, env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _wait(address: str, limit: float = 30) -> None:
    end = time.monotonic() + limit
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).read()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    if CHROMIUM is None:
        reason = "there is no Chromium; `make test` installs it where it may, or: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Any) -> Iterator[Any]:
    """A person's browser, whose cache all tests share."""
    found = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    found.set_default_timeout(PATIENCE)
    yield found
    found.close()


class Person:
    """What somebody does in the app."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.foreign: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, view: str, run: str = "", **query: str) -> Person:
        """A deep link."""
        chosen = {"view": view, **({"run": run} if run else {}), **query}
        self.page.goto(f"{self.address}/?{urlencode(chosen)}")
        self.page.get_by_role("heading", name=view, level=1).wait_for()
        return self.ready()

    def ready(self) -> Person:
        """Until the page stands still."""
        self.page.wait_for_timeout(250)
        self.page.wait_for_function(LOADED)
        assert self.page.get_by_test_id("stException").count() == 0
        return self

    def metric(self, label: str) -> str:
        """The text of a figure."""
        return str(self.page.get_by_test_id("stMetric").filter(has_text=label).first.get_by_test_id("stMetricValue").inner_text())

    def settled(self, found: Callable[[], Any], wanted: Callable[[], Any], limit: float = 20) -> tuple[Any, Any]:
        """Both, as soon as they agree; the server answers a little after the slider stops."""
        end = time.monotonic() + limit
        while (both := (found(), wanted()))[0] != both[1] and time.monotonic() < end:
            self.page.wait_for_timeout(200)
        self.ready()
        return both

    def choose(self, label: str, option: str) -> None:
        """In a select box."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=option, exact=True).click()
        self.ready()

    def upload(self, *paths: Path) -> None:
        """Give one file to each field in turn."""
        for field, path in enumerate(paths):
            uploader = self.page.get_by_test_id("stFileUploader").nth(field)
            uploader.locator("input[type=file]").set_input_files(str(path))
            uploader.get_by_test_id("stFileChip").wait_for()
            self.ready()

    def text(self) -> str:
        """Everything on the page."""
        return str(self.page.get_by_test_id("stMain").inner_text())

    def snap(self, name: str, height: int = 900) -> None:
        """A small picture of the page for the README, where it is asked for."""
        if SCREENSHOTS is None:
            return
        import io

        from PIL import Image

        self.page.set_viewport_size({"width": self.page.viewport_size["width"], "height": height})
        self.ready()
        self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
        self.page.wait_for_timeout(700)  # fonts, and charts that fade in
        with Image.open(io.BytesIO(self.page.screenshot())) as image:
            (SCREENSHOTS / name).parent.mkdir(parents=True, exist_ok=True)
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(SCREENSHOTS / f"{name}.png", optimize=True)


@pytest.fixture
def person(context: Any, server: str) -> Iterator[Person]:
    """Somebody with a page of their own."""
    found = Person(context.new_page(), server)
    yield found
    found.page.close()
    assert found.foreign == [], "something is asked of another machine"


@pytest.fixture
def visitor(browser: Any, server: str) -> Iterator[Callable[..., Person]]:
    """Makes people with browsers of their own: `visitor(viewport={"width": 390, "height": 800})`."""
    contexts = []

    def make(**options: Any) -> Person:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(PATIENCE)
        return Person(contexts[-1].new_page(), server)

    yield make
    for opened in contexts:
        opened.close()
