"""Looking at every file of a data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

from base.table import SampleTable
from data_loader.decode import ImageError, read_image
from utils.errors import UserError


def unreadable(table: SampleTable) -> dict[str, str]:
    """Sample id -> reason, for every image that cannot be decoded, in order of the table."""

    def reason(row: int) -> str | None:
        try:
            read_image(table.path(row))
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(cpu_count()) as pool:
        reasons = list(pool.map(reason, range(len(table)), chunksize=64))
    return {table.id(row): text for row, text in enumerate(reasons) if text is not None}


def missing_files(table: SampleTable) -> list[str]:
    """Ids of the samples whose file is not there."""
    return [table.id(row) for row in range(len(table)) if not table.path(row).is_file()]


def refuse_unreadable(failures: dict[str, str], table: SampleTable) -> None:
    """Raise UserError with a line for every image that cannot be read."""
    if failures:
        lines = [f"{table.root}/{name}: {reason}" for name, reason in failures.items()]
        advice = 'mend or remove them, or set data_loader.args.unreadable="skip"'
        raise UserError("\n".join([f"{len(failures)} of {len(table)} images cannot be read; {advice}:", *lines]))
