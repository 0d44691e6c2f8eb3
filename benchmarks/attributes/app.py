"""Measure the app's speed with 50 runs and 100,000 predictions in Chromium (opening, clicking, searching), and its memory.

python -m benchmarks.attributes.app [--runs 50] [--samples 100000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.table import SampleTable
from data_loader.attributes.synthetic import write_masks
from tests.app_world import learning, probabilities, write_result, write_run
from tests.attributes.app_world import LABELS
from tests.browser.conftest import CHROMIUM, Person
from tests.helpers import ROOT
from utils.files import append_line

PORT = 8597
STEPS = 2000  # lines for steps in each log


def write_runs(folder: Path, runs: int, samples: int) -> str:
    """Write runs with long logs; the newest has predictions for `samples` samples. Return the newest run's label."""
    write_masks(folder / "data", people=40, eval_people=1, seed=0, size=(96, 72))
    images = folder / "data/train/images"
    paths = sorted(path.relative_to(images).as_posix() for path in images.glob("*/*.jpg"))
    label = ""
    for number in range(runs):
        label = f"masks/202601{number // 24 + 1:02}-{number % 24:02}0000-0000"
        values = {
            "name": "masks",
            "seed": number,
            "trainer": {"monitor": "max val/f1"},
            "data_loader": {},
        }
        run = write_run(folder / "saved", label, values, learning(100, number))
        step = {"kind": "step", "epoch": 1, "loss": 0.5, "loss/mask": 0.2}
        lines = [json.dumps({**step, "step": place}) for place in range(STEPS)]
        append_line(run.log / "log.jsonl", "\n".join(lines))
    draw = np.random.default_rng(0)
    truth = {name: draw.integers(0, len(classes), samples) for name, classes in LABELS.items()}
    columns = {"id": [f"{row:06}.jpg" for row in range(samples)], "path": [paths[row % len(paths)] for row in range(samples)],
               "person": [f"{row // 7:05}" for row in range(samples)],
               "camera": [f"c{row % 12}" for row in range(samples)]}  # fmt: skip
    table = SampleTable.from_columns(images, {**columns, **truth})
    given = {name: torch.from_numpy(probabilities(truth[name], len(LABELS[name]), 1)) for name in LABELS}
    write_result(run, "valid-best", table, given, classes=LABELS)
    return label


class Server:
    """The app in its own process."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(PORT)]
        self.process = subprocess.Popen(words, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
        self.address = f"http://127.0.0.1:{PORT}"
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2).read()
                return
            except OSError:
                time.sleep(0.02)

    @property
    def megabytes(self) -> float:
        """The resident memory in MiB; Linux only."""
        line = next(row for row in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def report(name: str, values: list[float], target: str) -> None:
    print(f"{name:<52} {statistics.median(values):6.2f} s  ({min(values):.2f} to {max(values):.2f})  target {target}", flush=True)


def measure(browser: Any, server: Server, label: str, rounds: int) -> None:
    """Measure opening (after the first time, with a warm browser cache), then clicks, each until the page has settled."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(60_000)
    person = Person(context.new_page(), server.address)
    opened = lambda: person.page.get_by_test_id("stDataFrame").wait_for()  # noqa: E731
    first = timed(lambda: (person.page.goto(server.address), opened()))
    print(f"{'the very first opening (empty browser, cold server)':<52} {first:6.2f} s")
    openings = [timed(lambda: (person.page.goto(server.address), opened())) for _ in range(rounds)]
    report("Runs opens", openings, "under 2")
    link = f"{server.address}/?view=Mistakes&run={label}"
    shown = lambda: person.page.get_by_text("100,000 samples").or_(person.page.get_by_text("samples")).last.wait_for()  # noqa: E731
    report("Mistakes opens by its link", [timed(lambda: (person.page.goto(link), shown())) for _ in range(rounds)], "under 2")
    person.ready()
    clicks: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, action in person_clicks(person, number).items():
            clicks.setdefault(name, []).append(timed(lambda action=action: click(person, action)))  # type: ignore[misc]
    for name, values in clicks.items():
        report(f"  {name}", values, "under 1")
    context.close()


def click(person: Person, action: Callable[[], object]) -> None:
    """Do the action and wait until the server has answered and the page shows the answer."""
    action()
    person.page.wait_for_timeout(50)
    person.page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")


def person_clicks(person: Person, number: int) -> dict[str, Callable[[], object]]:
    """Return the actions of a user in Mistakes, by name; each round has another search and another order."""
    page = person.page
    search = page.get_by_placeholder("words in id, path or any column")
    order = ("least confident", "largest loss")[number % 2]

    def choose() -> None:
        page.get_by_role("combobox", name="Order").click()
        page.get_by_role("option", name=order, exact=True).click()

    def find() -> None:
        search.fill(f"c{number} 7")
        search.press("Enter")

    return {
        "the next page": lambda: page.get_by_role("button", name="Next").click(), "another order": choose, "a search": find,
        "slices": lambda: page.get_by_role("radio", name="Slices").click(),
        "back to the samples": lambda: page.get_by_role("radio", name="Samples").click(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if CHROMIUM is None:
        print("there is no Chromium: nothing is measured (apt-get install chromium)")
        return
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp())
    try:
        label = write_runs(folder, args.runs, args.samples)
        print(f"{args.runs} runs, {args.samples:,} predictions; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        start = time.perf_counter()
        server = Server(folder)
        print(f"{'the server listens after':<52} {time.perf_counter() - start:6.2f} s")
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                measure(browser, server, label, args.rounds)
                browser.close()
            print(f"{'memory of the server afterwards':<52} {server.megabytes:6.0f} MB")
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
