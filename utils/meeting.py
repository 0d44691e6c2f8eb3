"""How the processes of one start of a job find each other, and not those of an earlier start."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from utils.errors import RunError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = 50.0  # seconds; a launcher starts the processes of a job together


def agree(store: Store, rank: int, processes: int, patience: float = PATIENCE) -> str:
    """A name that the processes of this start of the job have in common, and no other start has.

    torchrun keeps one store through all restarts of a job; in it, processes would look for each other at the addresses
    of dead ones. Its count of restarts is no name, as machines may differ in it: see
    https://github.com/pytorch/pytorch/issues/135712. So the main process invents a name, and gives it in answer to
    questions: each is answered under its own random text, and what a dead process asked is answered in vain.
    Raises RunError where a process does not come within `patience` seconds.
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
    """Whether a process knows the name. What it asked last is answered, which may yet be the question of a dead one."""
    if store.check([f"{name}/{other}"]):
        return True
    if store.check([f"question/{other}"]):
        store.set(f"answer/{store.get(f'question/{other}').decode()}", name)
    return False


def _pause(limit: float, patience: float, rank: int, missing: list[int]) -> None:
    """In Python, where a signal can end the script, and not inside a call that waits."""
    if time.monotonic() > limit:
        names = ", ".join(map(str, missing))
        raise RunError(f"process {rank}: process {names} of this run has not started within {patience:g} s, and says itself why")
    time.sleep(0.02)
