"""End a process if another process of its job is stopped or cut off, so that the others do not wait for it in vain."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

EVERY, PATIENCE = 2.0, 45.0  # seconds between two beats; seconds without a beat after which a process counts as lost
GRACE = 3.0  # seconds that `stop` waits for each thread
LEFT = "left"


class Heartbeat:
    """Two threads: one sends beats and reads those of the others, one ends this process if another is silent for too long.

    The watching thread never uses the store: the main thread and the talking thread may both wait for a lost process inside
    a call that has no end. Silence is counted in rounds of EVERY seconds, not in time: if the whole job is suspended, no
    process counts as silent afterwards.
    store: the store of this start of the job; the threads get a connection of their own, since a waiting call blocks one.
    end: called with a line for the user if a process is lost; by default it prints the line and ends this process.
    """

    def __init__(self, store: Store, rank: int, processes: int, end: Callable[[str], None] | None = None) -> None:
        self.store, self.rank, self.end = store.clone(), rank, end or _end
        self.silent = dict.fromkeys((other for other in range(processes) if other != rank), 0)  # rank -> rounds without a beat
        self.left: set[int] = set()
        self.stopped, self.in_order = threading.Event(), False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._talk, self._watch)]
        for thread in self.threads:
            thread.start()

    def stop(self, in_order: bool) -> None:
        """Stop both threads. in_order: tell the others that this process has left on purpose, so that they do not end."""
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
        except RuntimeError:  # the store has gone; the connection stays broken, and the watching thread ends this process
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
