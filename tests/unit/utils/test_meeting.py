"""Test that the processes of a start agree on a name, whatever an earlier start left in the store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from utils.errors import RunError
from utils.meeting import agree


@pytest.fixture
def store():
    return dist.HashStore()


def start(store, processes, first=0):
    """Return the name that each process of a job gets; process `first` starts before the others."""
    order = [first, *(rank for rank in range(processes) if rank != first)]
    with ThreadPoolExecutor(processes) as pool:
        names = [pool.submit(agree, store, rank, processes, 10.0) for rank in order]
        return [name.result() for name in names]


@pytest.mark.parametrize("processes", [2, 5])
def test_all_processes_of_a_start_get_one_name(store, processes):
    assert len(set(start(store, processes))) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_a_start_with_the_store_of_an_earlier_start_gets_a_new_name(store, first):
    names = [start(store, 2, first) for _ in range(3)]

    assert all(one == two for one, two in names)
    assert len({one for one, _ in names}) == 3


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_of_an_earlier_start_does_not_count(store, rank):
    start(store, 2)

    with pytest.raises(RunError, match=f"process {rank}: process {1 - rank} of this run has not started within 0.2 s"):
        agree(store, rank, 2, 0.2)


def test_a_start_succeeds_after_a_start_whose_processes_died(store):
    for rank in (1, 2):
        with pytest.raises(RunError):
            agree(store, rank, 3, 0.1)

    assert len(set(start(store, 3))) == 1
