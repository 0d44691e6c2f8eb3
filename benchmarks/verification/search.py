"""Measure the exact top 10 of 100 queries in a gallery of a million vectors: ours, a matrix product, and faiss's flat index.

    python -m benchmarks.verification.search [--gallery 1000000] [--width 512] [--queries 100] [--threads 2] [--runs 3]

The gallery is a .npy file of random vectors of length 1. Each way runs in its own process and maps the file into memory; the
file is in the page cache. Time is from the mapped file to the answer, the best of the runs. Memory is the peak of the
process's own memory minus its memory after loading the libraries; pages of the mapped file do not count, since the system
can drop them at any time.
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
    """Search the gallery (N, D) for the queries (Q, D), both float32, in blocks of the mapped file.

    Returns the scores, float32, and the rows, int64, of the nearest vectors, each (Q, NUMBER), best first.
    """
    from inspection.verification.nearest import in_blocks, nearest

    neighbours = nearest(queries, in_blocks(gallery), NUMBER)
    return neighbours.scores, neighbours.rows


def plain(gallery: np.ndarray, queries: np.ndarray) -> Answer:
    """Multiply the queries (Q, D) with the whole gallery (N, D), then select; return scores and rows as `ours`."""
    scores = queries @ gallery.T
    rows = np.argpartition(-scores, NUMBER, axis=1)[:, :NUMBER]
    order = np.argsort(-np.take_along_axis(scores, rows, axis=1), axis=1)
    rows = np.take_along_axis(rows, order, axis=1)
    return np.take_along_axis(scores, rows, axis=1), rows


def faiss_flat(gallery: np.ndarray, queries: np.ndarray) -> Answer:
    """Copy the gallery (N, D) into the index, then search for the queries (Q, D); return scores and rows as `ours`."""
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
    """Return the bytes of this process's memory that are not pages of a file."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def measured(name: str, folder: str, threads: int, runs: int) -> tuple[float, int, Answer]:
    """Return the best seconds of the runs, the peak of additional bytes, and the answer."""
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
    """Print a line for each way, and whether all ways return the same rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("gallery", 1_000_000), ("width", 512), ("queries", 100), ("threads", 2), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)  # numpy reads it at import, in the spawned processes
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
    """Write gallery.npy and queries.npy, random vectors of length 1, float32, block by block."""
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
