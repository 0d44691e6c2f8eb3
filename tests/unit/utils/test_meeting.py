"""Processes of one start of a job find each other, whatever an earlier start left in the store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from utils.errors import RunError
from utils.meeting import agree


@pytest.fixture
def store():
    return dist.HashStore()


def start(store, processes, first=0):
    """The name that each process of a job gets; the process with the number `first` comes first."""
    order = [first, *(rank for rank in range(processes) if rank != first)]
    with ThreadPoolExecutor(processes) as pool:
        names = [pool.submit(agree, store, rank, processes, 10.0) for rank in order]
        return [name.result() for name in names]


@pytest.mark.parametrize("processes", [2, 5])
def test_all_processes_of_a_start_get_one_name(store, processes):
    assert len(set(start(store, processes))) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_a_start_that_finds_the_store_of_an_earlier_one_gets_a_name_of_its_own(store, first):
    names = [start(store, 2, first) for _ in range(3)]

    assert all(one == two for one, two in names)
    assert len({one for one, _ in names}) == 3


@pytest.mark.parametrize("rank", [0, 1])
def test_nobody_is_taken_for_a_process_of_an_earlier_start(store, rank):
    start(store, 2)

    with pytest.raises(RunError, match=f"process {rank}: process {1 - rank} of this run has not started within 0.2 s"):
        agree(store, rank, 2, 0.2)


def test_a_start_succeeds_after_one_of_which_some_processes_died_before_they_met(store):
    for rank in (1, 2):
        with pytest.raises(RunError):
            agree(store, rank, 3, 0.1)

    assert len(set(start(store, 3))) == 1
