"""The marks of people who look at samples: a corrections file for the next run, and a list of samples to look at again.

Each file is changed under a lock, one mark at a time: if two people mark at the same time, both marks are kept.
"""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from data_loader.formats.csv_reader import read_csv
from data_loader.samples.corrections import CORRECTION_COLUMNS, EXCLUDE
from inspection.jail import below
from utils import files
from utils.errors import UserError

CORRECTIONS, AGAIN = "corrections.csv", "look_again.csv"
AGAIN_COLUMNS = ["id", "note"]
PATIENCE = 5.0  # seconds to wait for the lock

_threads = threading.Lock()  # file locks do not separate the threads of one process


class Mark(NamedTuple):
    """A line of a corrections file: if column `where` is `value`, set column `target` to `to`."""

    where: str
    value: str
    target: str
    to: str


class Marks:
    """The marks of one data set, in a folder of their own."""

    def __init__(self, saved: Path, name: str) -> None:
        self.folder = below(saved / "marks", name)

    @property
    def corrections(self) -> Path:
        """The file for `data_loader.args.corrections`."""
        return self.folder / CORRECTIONS

    @property
    def shown(self) -> str:
        """The path of the corrections file for a command line, relative to the current folder."""
        return os.path.relpath(self.corrections)

    def all(self) -> list[Mark]:
        """Return the corrections, in order. Raises UserError if the file is not a corrections file."""
        return [Mark(*row) for row in _rows(self.corrections, CORRECTION_COLUMNS)]

    def again(self) -> list[tuple[str, str]]:
        """Return sample id and note of the samples to look at again. Raises UserError if the file has other columns."""
        return [(row[0], row[1]) for row in _rows(self.folder / AGAIN, AGAIN_COLUMNS)]

    def begin(self, source: Path) -> None:
        """Copy the corrections of a run, if there is no corrections file yet. Raises UserError if that file is wrong."""
        if not self.corrections.exists():
            rows = _rows(source, CORRECTION_COLUMNS)
            self._change(CORRECTIONS, CORRECTION_COLUMNS, lambda there: there or rows)

    def relabel(self, sample: str, column: str, to: str) -> None:
        """Mark that a sample's value in a column should be `to`; replace an earlier mark of the same sample and column."""
        self._put(Mark("id", sample, column, to))

    def exclude(self, sample: str) -> None:
        """Mark that a sample is left out of training and validation."""
        self._put(Mark("id", sample, EXCLUDE, ""))

    def remove(self, *marks: Mark) -> None:
        """Remove marks from the corrections file."""
        gone = [list(mark) for mark in marks]
        self._change(CORRECTIONS, CORRECTION_COLUMNS, lambda rows: [row for row in rows if row not in gone])

    def look_again(self, sample: str, note: str = "") -> None:
        """Add a sample to the list of samples to look at again; replace its earlier note."""
        self._change(AGAIN, AGAIN_COLUMNS, lambda rows: [*(row for row in rows if row[0] != sample), [sample, note]])

    def forget(self, sample: str) -> None:
        """Remove a sample from the list of samples to look at again."""
        self._change(AGAIN, AGAIN_COLUMNS, lambda rows: [row for row in rows if row[0] != sample])

    def _put(self, mark: Mark) -> None:
        self._change(
            CORRECTIONS, CORRECTION_COLUMNS, lambda rows: [*(row for row in rows if row[:3] != list(mark[:3])), list(mark)]
        )

    def _change(self, name: str, columns: list[str], change: Callable[[list[list[str]]], list[list[str]]]) -> None:
        """Read, change and write a file under the lock. Raises UserError if the file has other columns or cannot be written."""
        with _alone(self.folder):
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([columns, *change(_rows(self.folder / name, columns))])
            files.write_bytes(self.folder / name, text.getvalue().encode())


def as_csv(marks: list[Mark]) -> bytes:
    """Return the text of a corrections file with these marks, in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([CORRECTION_COLUMNS, *marks])
    return text.getvalue().encode()


def _rows(path: Path, columns: list[str]) -> list[list[str]]:
    if not path.exists():
        return []
    names, rows, _, _ = read_csv(path, may_be_empty=True)
    if names != columns:
        raise UserError(f"{path}: line 1: found {','.join(names)}; the columns are {','.join(columns)}")
    return rows


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, against other sessions of the app and other processes.

    Raises UserError if the lock is not free within PATIENCE seconds, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _threads:
            limit = time.monotonic() + PATIENCE
            while (held := files.lock(folder / ".lock")) is None:
                if time.monotonic() > limit:
                    raise UserError(f"{folder}: another process is writing marks there; try again")
                time.sleep(0.02)
            with held:
                yield
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from None
