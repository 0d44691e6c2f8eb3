"""Batches are the same whoever makes them; a worker that is lost ends the run in one line, wherever the run was."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import torch

from data_loader.batches.stream import BatchKey, BatchStream
from utils.errors import RunError, UserError


def keys(number=20):
    return [BatchKey("train", 0, np.array([place]), np.zeros(1, int)) for place in range(number)]


def double(key):
    return {"value": torch.from_numpy(key.rows * 2), "process": os.getpid()}


def stream(make, workers=2, timeout=30.0):
    return BatchStream(make, workers, timeout, pin_memory=False)


def values(batches):
    return [int(batch["value"]) for batch in batches]


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_the_order_of_their_keys(workers):
    batches = stream(double, workers)
    assert values(batches.iterate(keys())) == list(range(0, 40, 2))
    batches.close()


def test_workers_outlive_an_epoch_and_one_that_was_left_early():
    batches = stream(double)
    first = {batch["process"] for batch in batches.iterate(keys())}
    left = batches.iterate(keys())
    next(left), next(left)
    left.close()
    again = list(batches.iterate(keys()[5:8]))
    assert values(again) == [10, 12, 14]
    assert {batch["process"] for batch in again} <= first and os.getpid() not in first
    batches.close()


def test_closing_ends_the_workers_and_they_start_again_when_asked():
    batches = stream(double)
    (process, *_) = {batch["process"] for batch in batches.iterate(keys(2))}
    batches.close()
    assert not alive(process)
    assert values(batches.iterate(keys(2))) == [0, 2]
    batches.close()


def test_a_worker_that_is_killed_ends_the_run_within_seconds_in_one_line():
    batches, start = stream(double), time.monotonic()
    with pytest.raises(RunError, match=r"^data_loader: a worker process (was killed|died).*; the last .* -r last") as lost:
        for batch in batches.iterate(keys(1000)):
            os.kill(batch["process"], signal.SIGKILL)
    assert time.monotonic() - start < 10
    assert "\n" not in str(lost.value) and lost.value.status == 1


def test_a_worker_that_is_killed_between_two_batches_is_our_error_too():
    batches = stream(double)
    process = next(iter(batches.iterate(keys(1))))["process"]
    with pytest.raises(RunError, match=r"^data_loader: a worker process was killed \(out of memory\?\);"):
        os.kill(process, signal.SIGKILL)
        time.sleep(5)
    batches.close()


def test_no_worker_is_left_when_one_was_killed():
    batches, processes = stream(double), set()
    with pytest.raises(RunError):
        for batch in batches.iterate(keys(1000)):
            processes.add(batch["process"])
            if len(processes) == 2:
                os.kill(batch["process"], signal.SIGKILL)
    batches.close()
    assert len(processes) == 2 and not any(map(alive, processes))


def test_a_worker_that_ends_itself_is_not_called_killed():
    def leave(key):
        os._exit(3)

    with pytest.raises(RunError, match="a worker process died;"):
        list(stream(leave).iterate(keys()))


def test_a_worker_that_hangs_is_given_up_after_the_timeout():
    def hang(key):
        time.sleep(100)

    batches, start = stream(hang, timeout=1.0), time.monotonic()
    with pytest.raises(RunError, match="a worker process gave no batch for 1 s"):
        list(batches.iterate(keys()))
    batches.close()
    assert time.monotonic() - start < 10


def test_workers_ignore_the_signals_that_are_meant_for_the_main_process():
    batches = stream(double)
    iterator = batches.iterate(keys(50))
    process = next(iterator)["process"]
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGINT)
    assert values(iterator) == list(range(2, 100, 2))
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_the_user_did_wrong_arrives_without_a_traceback(workers):
    def refuse(key):
        raise UserError("pictures of different sizes")

    batches = stream(refuse, workers)
    with pytest.raises(UserError, match=r"^pictures of different sizes$"):
        list(batches.iterate(keys()))
    batches.close()


def test_a_fault_of_ours_in_a_worker_is_not_called_a_lost_worker():
    def fail(key):
        raise RuntimeError("shapes do not match")

    batches = stream(fail)
    with pytest.raises(RuntimeError, match="shapes do not match") as fault:
        list(batches.iterate(keys()))
    assert not isinstance(fault.value, RunError)
    batches.close()
