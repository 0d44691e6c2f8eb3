"""Agree on a name for one start of a job, so that its processes do not meet those of an earlier start."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from utils.errors import RunError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = 50.0  # seconds; a launcher starts the processes of a job together


def agree(store: Store, rank: int, processes: int, patience: float = PATIENCE) -> str:
    """Return a name that all processes of this start of the job share, and that no other start has.

    torchrun keeps one store through all restarts of a job; without a new name the processes would read the addresses of
    dead processes in it. The count of restarts cannot be the name, since machines may disagree about it: see
    https://github.com/pytorch/pytorch/issues/135712. Therefore the main process makes a random name. Every other process
    asks for it with a random text of its own, and the answer is stored under this text: an answer to a dead process is
    never read. Raises RunError if a process does not come within `patience` seconds.
    """
    mine, limit = secrets.token_hex(8), time.monotonic() + patience
    if rank == 0:
        missing = list(range(1, processes))
        while missing := [other for other in missing if not _told(store, mine, other)]:
            _pause(limit, patience, rank, missing)
        return mine
    store.set(f"question/{rank}", mine)
    while not store.check([f"answer/{mine}"]):
        _pause(limit, patience, rank, [0])
    name: str = store.get(f"answer/{mine}").decode()
    store.set(f"{name}/{rank}", "told")
    return name


def _told(store: Store, name: str, other: int) -> bool:
    """Return whether process `other` knows the name; answer its last question, which may be that of a dead process."""
    if store.check([f"{name}/{other}"]):
        return True
    if store.check([f"question/{other}"]):
        store.set(f"answer/{store.get(f'question/{other}').decode()}", name)
    return False


def _pause(limit: float, patience: float, rank: int, missing: list[int]) -> None:
    """Sleep for a moment; raise RunError after the time `limit`. A signal can end this sleep, but not a waiting store call."""
    if time.monotonic() > limit:
        names = ", ".join(map(str, missing))
        raise RunError(f"process {rank}: process {names} of this run has not started within {patience:g} s; its output says why")
    time.sleep(0.02)
