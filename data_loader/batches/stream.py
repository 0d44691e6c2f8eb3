"""Batches made by worker processes: any batch of any epoch on demand, equal in any process."""

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

# Forked workers share tables and decoded pictures with the main process; without a safe fork they get copies.
CAN_FORK = sys.platform.startswith("linux") and "fork" in multiprocessing.get_all_start_methods()
LOST_WORKER = re.compile(r"DataLoader worker \(pid.*?(?:signal: (?P<signal>[\w ]+)|exited unexpectedly)")
HUNG_WORKER = "DataLoader timed out"
CAUSES = {"Killed": "was killed (out of memory?)", "Bus error": "was killed (out of shared memory?)"}


class BatchKey(NamedTuple):
    """The samples of a batch, and the epoch of their augmentation."""

    split: str
    epoch: int | None  # None for samples of any split, transformed for evaluation
    rows: np.ndarray  # (B,) rows of the split's table
    draws: np.ndarray  # (B,) how often the epoch has shown each row before
    number: int = 0  # number of the batch within the epoch

    @property
    def augmented(self) -> bool:
        """True for training samples with augmentation."""
        return self.epoch is not None


class Failure(NamedTuple):
    """The samples that could not be read, with the reasons, in place of a batch; plain data crosses processes unchanged."""

    split: str
    reasons: dict[int, str]


class _Refusal(NamedTuple):
    """The text of a UserError, in place of a batch; as an exception it would arrive with the worker's traceback in its text."""

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
    """Run `make(key)` for a sequence of keys, in worker processes that stay alive between epochs."""

    def __init__(self, make: Callable[[BatchKey], Any], workers: int, timeout: float, pin_memory: bool) -> None:
        self.workers, self.timeout = workers, timeout
        # Ends the workers when called, when the stream is deleted, or at exit.
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
        """Yield the batches of the keys, in order. Raises RunError if a worker dies or hangs, UserError if `make` raised it."""
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
        """Return how a worker ended, None if all are alive; torch does not always say."""
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
        """End the workers; kill them if `kill` is set, because they may not react."""
        if kill and self._loader._iterator is not None:
            _kill_workers(self._loader._iterator)
        self._end()
        self._loader._iterator = None


def _end_workers(iterator: Any) -> None:
    """End the workers as torch does, then kill the workers that still run.

    Workers ignore the SIGTERM that torch sends to a hanging worker.
    """
    if not all(worker.is_alive() for worker in iterator._workers):
        _kill_workers(iterator)  # a killed worker may hold a lock that the others wait for
    iterator._shutdown_workers()
    _kill_workers(iterator)


def _kill_workers(iterator: Any) -> None:
    if iterator._worker_pids_set:
        iterator._worker_pids_set = False
        _remove_worker_pids(id(iterator))  # otherwise torch reports the end of the workers as a fault
    for worker in iterator._workers:
        worker.kill()
        worker.join()


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    """Ignore the signals to stop: the main process handles them, stops at a step boundary and then ends its workers."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if CAN_FORK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    torch.set_num_threads(1)


@contextmanager
def _holding_signals() -> Iterator[None]:
    """Block the signals to stop while workers are forked, until `_start_worker` has set their handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING) if CAN_FORK else set()
    try:
        yield
    finally:
        if CAN_FORK:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(text: str, timeout: float, ended: str = "died") -> RunError | None:
    """Return the error for the user if torch's error says that a worker is lost, else None.

    ended: how the worker ended, if torch's text does not say.
    """
    match = LOST_WORKER.search(text)
    if match:
        cause = CAUSES.get(match["signal"], ended)
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
    """Replace torch's error at the death of a worker, which it raises anywhere in the main process, by our error of one line."""
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
