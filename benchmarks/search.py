"""Exact top-10 of 100 queries in a gallery of a million vectors: ours, a plain matrix product, and faiss's flat index.

    python -m benchmarks.search [--gallery 1000000] [--width 512] [--queries 100] [--threads 2] [--runs 3]

Random vectors of length 1 in a .npy file, which each way maps into memory, in a process of its own; the file is in the page
cache. Time is from the mapped file to the answer, the best of the runs. Memory is the most that the process held of its own
beyond what it held with its libraries loaded; pages of the mapped file can be dropped at any time and are not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.memory import MEGABYTE

NUMBER = 10
Answer = tuple[np.ndarray, np.ndarray]


def ours(gallery: np.ndarray, queries: np.ndarray) -> Answer:
    """Blocks of the mapped file."""
    from inspection.verification.nearest import in_blocks, nearest

    found = nearest(queries, in_blocks(gallery), NUMBER)
    return found.scores, found.rows


def plain(gallery: np.ndarray, queries: np.ndarray) -> Answer:
    """One product with all, then a selection."""
    scores = queries @ gallery.T
    rows = np.argpartition(-scores, NUMBER, axis=1)[:, :NUMBER]
    order = np.argsort(-np.take_along_axis(scores, rows, axis=1), axis=1)
    rows = np.take_along_axis(rows, order, axis=1)
    return np.take_along_axis(scores, rows, axis=1), rows


def faiss_flat(gallery: np.ndarray, queries: np.ndarray) -> Answer:
    """The index takes a copy of everything first."""
    import faiss

    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    scores, rows = index.search(queries, NUMBER)
    return scores, rows


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Answer]] = {
    "ours": ours,
    "plain matmul": plain,
    "faiss IndexFlatIP": faiss_flat,
}


def anonymous() -> int:
    """Bytes that this process holds and no file backs."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def measured(name: str, folder: str, threads: int, runs: int) -> tuple[float, int, Answer]:
    """Seconds, bytes, and the answer."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    gallery, queries = np.load(f"{folder}/gallery.npy", mmap_mode="r"), np.load(f"{folder}/queries.npy")
    WAYS[name](gallery[:1000], queries)  # libraries loaded
    before, most, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        answer = WAYS[name](gallery, queries)
        times.append(time.perf_counter() - began)
    done.set()
    watcher.join()
    return min(times), max(most[0] - before, 0), answer


def main() -> None:
    """A line for each way, and whether all agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("gallery", 1_000_000), ("width", 512), ("queries", 100), ("threads", 2), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)  # read when numpy is loaded, by the processes that are spawned
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options)
        answers = {}
        for name in WAYS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, held, answers[name] = pool.apply(measured, (name, folder, options.threads, options.runs))
            print(f"{name:<18} {seconds:7.2f} s  {held / MEGABYTE:7.0f} MB", flush=True)
    same = {name: bool(np.array_equal(rows, answers["ours"][1])) for name, (_, rows) in answers.items()}
    print(f"same rows as ours: {same}")


def write(folder: Path, options: argparse.Namespace) -> None:
    """Random directions, written a block at a time."""
    rng = np.random.default_rng(0)
    shape = (options.gallery, options.width)
    gallery = np.lib.format.open_memmap(folder / "gallery.npy", mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, options.gallery, 50_000):
        block = rng.standard_normal((min(50_000, options.gallery - start), options.width), dtype=np.float32)
        gallery[start : start + 50_000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    gallery.flush()
    queries = rng.standard_normal((options.queries, options.width), dtype=np.float32)
    np.save(folder / "queries.npy", queries / np.linalg.norm(queries, axis=1, keepdims=True))


if __name__ == "__main__":
    main()
