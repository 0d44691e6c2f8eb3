"""Measure the memory of a table of a million samples, alone and with workers that read all of it, and of a list of tuples.

    python -m benchmarks.memory [--samples 1000000] [--workers 4]

Forked workers share the memory of the main process until a process writes to it. Reading a Python object already writes its
reference count, so that a list of samples is copied into every worker, page by page; Arrow's buffers are not copied.
Linux only: /proc/self/smaps_rollup.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from base.table import SampleTable
from data_loader.batches.stream import BatchKey, BatchStream

ROWS = 5000  # rows of a batch
MEGABYTE = 2**20


def own() -> int:
    """Return the bytes that this process alone holds (unique set size)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def path_of(row: int) -> str:
    """Return a path as long as the paths of the masks data."""
    return f"{row // 7:06}_female_Asian_{row % 60 + 18}/mask{row % 7}.jpg"


def make_table(samples: int) -> SampleTable:
    """Return a table with ids, paths, people and three labels, (N,) int16 each."""
    ids = [path_of(row) for row in range(samples)]
    labels = {name: np.zeros(samples, np.int16) for name in ("mask", "gender", "age")}
    people = [name[:6] for name in ids]
    return SampleTable.from_columns(Path("/data/train/images"), {"id": ids, "path": ids, "person": people, **labels})


def make_list(samples: int) -> list[tuple[str, int]]:
    """Return a list of (path, class), as torchvision's ImageFolder keeps it."""
    return [(f"/data/train/images/{path_of(row)}", row % 18) for row in range(samples)]


def main() -> None:
    """Print a line for the table and a line for the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    compare("SampleTable", make_table, lambda table, row: (table.id(row), table.path(row)), options)
    compare("list of (path, class)", make_list, lambda samples, row: samples[row][0].upper(), options)


def compare(label: str, make: Callable[[int], Any], read: Callable[[Any, int], Any], options: argparse.Namespace) -> None:
    """Print the memory of the samples in the main process, and the growth of all workers together after they read every row."""
    make(10)
    gc.collect()
    before = own()
    samples = make(options.samples)
    gc.collect()
    alone = own() - before

    def visit(key: BatchKey) -> dict[str, int]:
        start = own()
        for row in key.rows.tolist():
            read(samples, row)
        return {"process": os.getpid(), "start": start, "end": own()}

    rows = np.array_split(np.arange(options.samples), max(1, options.samples // ROWS))
    stream = BatchStream(visit, options.workers, timeout=300.0, pin_memory=False)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for visited in stream.iterate([BatchKey("train", 0, part, part) for part in rows]):
        first.setdefault(visited["process"], visited["start"])
        last[visited["process"]] = visited["end"]
    stream.close()
    grown = sum(last[process] - first[process] for process in first)
    print(
        f"{label:<22} {options.samples:,} samples: {alone / MEGABYTE:6.0f} MB in the main process, and "
        f"{grown / MEGABYTE:6.0f} MB more in {len(first)} workers that read them all",
        flush=True,
    )


if __name__ == "__main__":
    main()
