"""Whether the other processes of a job are still there: one that is stopped, or cut off, must not keep all others waiting."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

EVERY, PATIENCE = 2.0, 45.0  # seconds between two beats; after which a process without one is given up
GRACE = 3.0  # seconds for a last word
LEFT = "left"


class Heartbeat:
    """Two threads: one says that this process lives and listens to the others, one ends it where another is silent too long.

    The main thread may then be waiting for the other one inside a call that nothing else ends; and so may the thread that
    talks, which therefore does not watch. Silence is counted in rounds: a job that is stopped as a whole ages nobody.
    store: of this start of the job; the threads have their own connection, as a call that waits would hold a shared one.
    """

    def __init__(self, store: Store, rank: int, processes: int, end: Callable[[str], None] | None = None) -> None:
        self.store, self.rank, self.end = store.clone(), rank, end or _end
        self.silent = dict.fromkeys((other for other in range(processes) if other != rank), 0)  # rounds without a word
        self.left: set[int] = set()
        self.stopped, self.in_order = threading.Event(), False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._talk, self._watch)]
        for thread in self.threads:
            thread.start()

    def stop(self, in_order: bool) -> None:
        """Beat no more. in_order: the others need not miss this process."""
        self.in_order = in_order
        self.stopped.set()
        for thread in self.threads:
            thread.join(GRACE)

    def _talk(self) -> None:
        heard, number = dict.fromkeys(self.silent, b""), 0
        try:
            while not self.stopped.wait(EVERY):
                number += 1
                self.store.set(f"beat/{self.rank}", str(number))
                for other, before in heard.items():
                    said = self.store.get(f"beat/{other}") if self.store.check([f"beat/{other}"]) else b""
                    if said != before:
                        heard[other], self.silent[other] = said, 0
                    if said == LEFT.encode():
                        self.left.add(other)
            if self.in_order:
                self.store.set(f"beat/{self.rank}", LEFT)
        except RuntimeError:  # the store has gone, and a broken connection is not made again: nobody is heard any more
            pass

    def _watch(self) -> None:
        while not self.stopped.wait(EVERY):
            for other in self.silent:
                self.silent[other] += 1
            limit = math.ceil(PATIENCE / EVERY)
            if lost := [other for other, rounds in self.silent.items() if rounds > limit and other not in self.left]:
                names = ", ".join(map(str, lost))
                self.end(
                    f"process {self.rank}: process {names} of this run has not been heard of for {PATIENCE:g} s: it "
                    "was stopped, or the network is cut; the last checkpoint is whole: run the same command again with -r auto"
                )
                return


def _end(line: str) -> None:
    print(f"\n{line}", file=sys.stderr, flush=True)  # below a progress bar
    os._exit(1)
