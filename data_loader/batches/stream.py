"""Batches made by worker processes: any batch of any epoch on demand, the same whoever makes it."""

from __future__ import annotations

import multiprocessing
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch._C import _remove_worker_pids
from torch.utils.data import DataLoader, Dataset

from utils.errors import RunError, UserError
from utils.signals import STOPPING

cv2.setNumThreads(0)  # workers are the parallelism; OpenCV's own threads would not survive a fork

# Forked workers share tables and decoded pictures with the main process; where there is no safe fork, they get copies.
CAN_FORK = sys.platform.startswith("linux") and "fork" in multiprocessing.get_all_start_methods()
LOST_WORKER = re.compile(r"DataLoader worker \(pid.*?(?:signal: (?P<signal>[\w ]+)|exited unexpectedly)")
HUNG_WORKER = "DataLoader timed out"
CAUSES = {"Killed": "was killed (out of memory?)", "Bus error": "was killed (out of shared memory?)"}


class BatchKey(NamedTuple):
    """Which samples, and for which epoch's augmentation."""

    split: str
    epoch: int | None  # None for samples of any split as evaluation sees them
    rows: np.ndarray  # (B,) of the split's table
    draws: np.ndarray  # (B,) how often the epoch has shown each of them before
    number: int = 0  # of the batch within the epoch

    @property
    def augmented(self) -> bool:
        """Whether these are training samples as an epoch shows them."""
        return self.epoch is not None


class Failure(NamedTuple):
    """In place of a batch: the samples that could not be read, and why. Crosses processes as data, not as an exception."""

    split: str
    reasons: dict[int, str]


class _Refusal(NamedTuple):
    """In place of a batch: the text of a UserError, which as an exception would arrive with the worker's traceback in it."""

    text: str


class _Batches(Dataset[Any]):
    def __init__(self, make: Callable[[BatchKey], Any]) -> None:
        self.make = make

    def __getitem__(self, key: BatchKey) -> Any:
        try:
            return self.make(key)
        except UserError as error:
            return _Refusal(str(error))


class BatchStream:
    """Runs `make(key)` for a sequence of keys, in worker processes that outlive the epochs."""

    def __init__(self, make: Callable[[BatchKey], Any], workers: int, timeout: float, pin_memory: bool) -> None:
        self.workers, self.timeout = workers, timeout
        # Ends the workers: when asked, when nobody needs them any more, or at exit.
        self._end: weakref.finalize[..., BatchStream] = weakref.finalize(self, int)
        self._end.detach()
        self._keys: list[BatchKey] = []
        self._loader: DataLoader[Any] = DataLoader(
            _Batches(make),
            batch_size=None,
            sampler=self._keys,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            timeout=timeout if workers else 0,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker,
            multiprocessing_context="fork" if workers and CAN_FORK else None,
        )

    def iterate(self, keys: Sequence[BatchKey]) -> Iterator[Any]:
        """The batches of the keys, in order. Raises RunError where a worker dies or hangs, UserError where `make` did."""
        self._keys[:] = keys
        try:
            for batch in self._started():
                if isinstance(batch, _Refusal):
                    raise UserError(batch.text)
                yield batch
        except RunError:  # from the handler of the signal that a worker ended
            self.close(kill=True)
            raise
        except (RuntimeError, OSError, EOFError) as error:
            ended = self._how_one_ended()
            lost = _lost(str(error), self.timeout, ended or "died") or (_lost_because(ended) if ended else None)
            if lost is None:
                raise
            self.close(kill=True)
            raise lost from None

    def _how_one_ended(self) -> str | None:
        """What became of a worker that is no more, None where all are alive: torch does not always say."""
        workers = getattr(self._loader._iterator, "_workers", [])
        for worker in workers:
            worker.join(0.1)
        dead = [worker.exitcode for worker in workers if not worker.is_alive()]
        if not dead:
            return None
        return CAUSES["Killed"] if -signal.SIGKILL in dead else "died"

    def _started(self) -> Iterator[Any]:
        with _holding_signals():
            batches = iter(self._loader)
        if self.workers and not self._end.alive:
            self._end = weakref.finalize(self, _end_workers, batches)
            _watch_workers()
        return batches

    def close(self, kill: bool = False) -> None:
        """End the workers; `kill` for those that may not listen."""
        if kill and self._loader._iterator is not None:
            _kill_workers(self._loader._iterator)
        self._end()
        self._loader._iterator = None


def _end_workers(iterator: Any) -> None:
    """As torch does it, and then without asking: they ignore the SIGTERM that it sends to those that hang."""
    if not all(worker.is_alive() for worker in iterator._workers):
        _kill_workers(iterator)  # one that was killed may hold a lock that the others wait for
    iterator._shutdown_workers()
    _kill_workers(iterator)


def _kill_workers(iterator: Any) -> None:
    if iterator._worker_pids_set:
        iterator._worker_pids_set = False
        _remove_worker_pids(id(iterator))  # or their end would be reported as a fault
    for worker in iterator._workers:
        worker.kill()
        worker.join()


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    """Signals to the whole group are for the main process: it stops at a step boundary and then ends its workers."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if CAN_FORK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    torch.set_num_threads(1)


@contextmanager
def _holding_signals() -> Iterator[None]:
    """Workers that are forked in here meet no signal before `_start_worker` has told them what to do about it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING) if CAN_FORK else set()
    try:
        yield
    finally:
        if CAN_FORK:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(text: str, timeout: float, ended: str = "died") -> RunError | None:
    """What to tell the user about torch's error, if it says that a worker is lost. ended: how, where it does not say."""
    found = LOST_WORKER.search(text)
    if found:
        cause = CAUSES.get(found["signal"], ended)
    elif HUNG_WORKER in text:
        cause = f"gave no batch for {timeout:g} s"
    else:
        return None
    return _lost_because(cause)


def _lost_because(cause: str) -> RunError:
    return RunError(
        f"data_loader: a worker process {cause}; the last checkpoint is whole: continue with -r last, "
        "with a smaller data_loader.args.num_workers or cache_mb"
    )


def _watch_workers() -> None:
    """torch raises wherever the main process happens to be when a worker dies; see that it is our error, of one line."""
    report = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    if not callable(report) or isinstance(report, _Watch) or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGCHLD, _Watch(report))


class _Watch:
    def __init__(self, report: Callable[[int, FrameType | None], Any]) -> None:
        self.report = report

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.report(number, frame)
        except RuntimeError as error:
            raise _lost(str(error), 0.0) or error from None
