"""Whether the other processes of a job still live: one that hangs, or is cut off, must not keep all others waiting."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

EVERY, PATIENCE = 2.0, 45.0  # seconds between two beats; after which a process without one is given up
LEFT = "left"


class Heartbeat:
    """A thread that says it lives, and ends this process where another has not said so for `PATIENCE` seconds.

    The main thread may then be waiting for the other one inside a call that nothing else ends.
    store: of this start of the job; the thread has its own connection, as a call that waits would hold a shared one.
    """

    def __init__(self, store: Store, rank: int, processes: int, end: Callable[[str], None] | None = None) -> None:
        self.store, self.rank, self.end = store.clone(), rank, end or _end
        self.store.set_timeout(timedelta(seconds=PATIENCE / 3))
        self.heard = {other: (b"", time.monotonic()) for other in range(processes) if other != rank}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Say that this process leaves in order, and beat no more."""
        self.stopped.set()
        self.thread.join()
        with suppress(RuntimeError):  # the store may have gone with the process that held it
            self.store.set(f"beat/{self.rank}", LEFT)

    def _run(self) -> None:
        number = 0
        while not self.stopped.wait(EVERY):
            number += 1
            with suppress(RuntimeError):  # where the store cannot be reached, nobody is heard until it can be again
                self.store.set(f"beat/{self.rank}", str(number))
                self._listen()
            now = time.monotonic()
            silent = [other for other, (said, since) in self.heard.items() if said != LEFT.encode() and now - since > PATIENCE]
            if silent:
                names = ", ".join(map(str, silent))
                self.end(
                    f"process {self.rank}: process {names} of this run has not been heard of for {PATIENCE:g} s: it hangs, or "
                    "the network is cut; the last checkpoint is whole: run the same command again with -r auto"
                )
                return

    def _listen(self) -> None:
        for other, (before, _) in self.heard.items():
            said = self.store.get(f"beat/{other}") if self.store.check([f"beat/{other}"]) else b""
            if said != before:
                self.heard[other] = said, time.monotonic()


def _end(line: str) -> None:
    print(f"\n{line}", file=sys.stderr, flush=True)  # below a progress bar
    os._exit(1)
