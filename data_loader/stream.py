"""Batches made by worker processes: any batch of any epoch on demand, the same whoever makes it."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from utils.errors import RunError

cv2.setNumThreads(0)  # workers are the parallelism; OpenCV's own threads would not survive a fork


class BatchKey(NamedTuple):
    """Which samples, and for which epoch's augmentation."""

    split: str
    epoch: int
    rows: np.ndarray


class Failure(NamedTuple):
    """In place of a batch: the samples that could not be read, and why. Crosses processes as data, not as an exception."""

    split: str
    reasons: dict[int, str]


class _Batches(Dataset[Any]):
    def __init__(self, make: Callable[[BatchKey], Any]) -> None:
        self.make = make

    def __getitem__(self, key: BatchKey) -> Any:
        return self.make(key)


class BatchStream:
    """Runs `make(key)` for a sequence of keys, in worker processes that outlive the epochs."""

    def __init__(self, make: Callable[[BatchKey], Any], workers: int, timeout: float, pin_memory: bool) -> None:
        self.workers, self.timeout = workers, timeout
        self._keys: list[BatchKey] = []
        self._loader: DataLoader[Any] = DataLoader(
            _Batches(make),
            batch_size=None,
            sampler=self._keys,  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            timeout=timeout if workers else 0,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker,
        )

    def iterate(self, keys: Sequence[BatchKey]) -> Iterator[Any]:
        """The batches of the keys, in order. Raises RunError where a worker dies or hangs."""
        self._keys[:] = keys
        try:
            yield from self._loader
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            self.close(kill=True)
            died = "timed out" not in str(error)
            cause = "was killed (out of memory?)" if died else f"gave no batch for {self.timeout:.0f} s"
            raise RunError(
                f"data_loader: a worker process {cause}; the last checkpoint is whole: continue with -r last, "
                "with a smaller data_loader.args.num_workers or cache_mb"
            ) from error

    def close(self, kill: bool = False) -> None:
        """End the workers; `kill` for those that may not listen."""
        iterator = getattr(self._loader, "_iterator", None)
        if kill:
            for worker in getattr(iterator, "_workers", []):
                worker.kill()
        if iterator is not None and hasattr(iterator, "_shutdown_workers"):
            iterator._shutdown_workers()
        self._loader._iterator = None


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    """Signals to the whole group are for the main process: it stops at a step boundary and then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


class PictureCache:
    """Decoded pictures of one size in memory that worker processes share; each is decoded once in a run."""

    def __init__(self, number: int, size: tuple[int, int], shared: bool) -> None:
        self.shape = (number, *size, 3)
        bytes_needed = int(np.prod(self.shape))
        # RawArray takes /dev/shm where there is room and a temporary file where not (containers often have 64 MB).
        self._pixels: Any = multiprocessing.RawArray(ctypes.c_uint8, bytes_needed) if shared else np.empty(bytes_needed, np.uint8)
        self._filled: Any = multiprocessing.RawArray(ctypes.c_uint8, number) if shared else np.zeros(number, np.uint8)

    def get(self, index: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The picture with that number, (H, W, 3) uint8; `read` is called if nobody did before. Not to be written to."""
        pixels = np.frombuffer(self._pixels, np.uint8).reshape(self.shape)
        if not self._filled[index]:
            pixels[index] = read()
            self._filled[index] = 1
        picture: np.ndarray = pixels[index]
        return picture
