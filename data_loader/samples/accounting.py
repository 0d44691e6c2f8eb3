"""Account for every file: pictures that are in no sample, and files that look like pictures and cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from base.table import SampleTable, some
from data_loader.formats.pattern_reader import files_below, is_picture

# Endings of pictures that neither OpenCV nor Pillow reads here, and names that browsers and messengers give to JPEGs.
OTHER_PICTURES = frozenset(
    (".heic", ".heif", ".jxl", ".jpg_large", ".jpg_orig", ".jpg!d", ".raw", ".dng", ".nef", ".cr2", ".arw", ".psd", ".svg")
)


def unaccounted(table: SampleTable, others: Callable[[], Iterable[SampleTable]]) -> list[str]:
    """Return a warning for the pictures below the table's root that are in no sample, and for files of other endings.

    others: returns the tables of further readers, whose pictures are accounted for; only called if some picture is in no sample
    of the table.
    """
    named, left, odd = _files(table), [], []
    for path in files_below(table.root):
        if is_picture(path):
            if os.path.normpath(f"{table.root}/{path}") not in named:
                left.append(path)
        elif os.path.splitext(path)[1].lower() in OTHER_PICTURES:
            odd.append(path)
    if left:
        further = {name for other in others() for name in _files(other)}
        left = [path for path in left if os.path.normpath(f"{table.root}/{path}") not in further]
    lines = [f"warning: {len(left):,} pictures below {table.root} are in no sample ({some(sorted(left), 3)})"] if left else []
    what = "have endings of pictures that cannot be read; convert them to JPEG or PNG"
    return [*lines, *([f"warning: {len(odd):,} files below {table.root} {what} ({some(sorted(odd), 3)})"] if odd else [])]


def _files(table: SampleTable) -> set[str]:
    root = Path(table.root)
    return {os.path.normpath(f"{root}/{path}") for path in table.paths()}
