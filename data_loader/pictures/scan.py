"""Checks of every file of a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from base.table import SampleTable
from data_loader.pictures.decode import ImageError, Size, read_image
from utils.errors import UserError

AT_ONCE = 1024  # pictures handed to the threads at once, so that a million pictures do not wait in memory
LINES = 500


def survey(
    table: SampleTable, size: Size | None = None, damaged: Callable[[int, str], None] = lambda row, reason: None
) -> Iterator[Size | str]:
    """Yield for every sample in order of the table the (height, width) of its picture, or the reason why it cannot be decoded.

    size: size to which the decoder may shrink pictures, which is faster; the yielded sizes are then the shrunk ones.
    damaged: called with row and reason for a picture that is decoded as far as it goes.
    """

    def look(row: int) -> Size | str:
        try:
            height, width, _ = read_image(table.path(row), size, damaged=partial(damaged, row)).shape
        except ImageError as error:
            return str(error)
        return height, width

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(table), AT_ONCE):
            yield from pool.map(look, range(start, min(start + AT_ONCE, len(table))))


def unreadable(table: SampleTable, size: Size | None = None) -> dict[str, str]:
    """Return sample id -> reason, for every image that cannot be decoded, in order of the table."""
    return {table.id(row): answer for row, answer in enumerate(survey(table, size)) if isinstance(answer, str)}


def missing_files(table: SampleTable) -> list[str]:
    """Return the ids of the samples whose file does not exist."""
    return [table.id(row) for row, path in enumerate(table.paths()) if not os.path.isfile(os.path.join(table.root, path))]


def refuse_unreadable(failures: dict[str, str], *tables: SampleTable) -> None:
    """Raise UserError with a line for every image (at most LINES) that cannot be read. failures: sample id -> reason."""
    if not failures:
        return
    places = {name: f"{table.root}/{path}" for table in tables for name, path in zip(table.ids(), table.paths(), strict=True)}
    lines = [f"{places[name]}: {reason}" for name, reason in list(failures.items())[:LINES]]
    more = [f"… and {len(failures) - LINES:,} more"] if len(failures) > LINES else []
    advice = 'mend or remove them, or set data_loader.args.unreadable="skip"'
    raise UserError("\n".join([f"{len(failures):,} of {len(places):,} images cannot be read; {advice}:", *lines, *more]))
