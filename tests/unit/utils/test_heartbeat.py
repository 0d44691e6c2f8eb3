"""Test that a process ends if another process of its job falls silent."""

import os
import signal
import subprocess
import time

import pytest
import torch

from tests.helpers import on_ranks
from utils import distributed, heartbeat
from utils.heartbeat import Heartbeat


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(heartbeat, "EVERY", 0.05)
    monkeypatch.setattr(heartbeat, "PATIENCE", 2.0)
    return torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


@pytest.fixture
def beats(store):
    """Yield the heartbeats of three processes, and the line of each that has ended."""
    said = [[], [], []]
    made = [Heartbeat(torch.distributed.PrefixStore("start", store), rank, 3, said[rank].append) for rank in range(3)]
    yield made, said
    for beat in made:
        beat.stop(in_order=True)


def waited(said, seconds):
    limit = time.monotonic() + seconds
    while not said and time.monotonic() < limit:
        time.sleep(0.05)
    return said


def test_live_processes_are_not_ended(beats):
    made, said = beats
    time.sleep(4)

    assert said == [[], [], []]
    assert all(thread.is_alive() for beat in made for thread in beat.threads)


def test_a_silent_process_is_named_by_all_others(beats):
    made, said = beats
    made[1].stop(in_order=False)

    for rank in (0, 2):
        (line,) = waited(said[rank], 20)
        assert line.startswith(f"process {rank}: process 1 of this run has not been heard of for 2 s")
        assert "-r auto" in line and "\n" not in line


def test_a_process_that_leaves_in_order_ends_no_other(beats):
    made, said = beats
    made[1].stop(in_order=True)
    time.sleep(4)

    assert said == [[], [], []]


def test_without_a_store_all_others_count_as_silent(store):
    said = []
    beat = Heartbeat(store, 0, 2, said.append)

    class Gone:
        def set(self, *_):
            raise torch.distributed.DistNetworkError("connection reset")

    beat.store = Gone()
    (line,) = waited(said, 20)

    assert "process 1 of this run has not been heard of" in line
    beat.stop(in_order=True)  # which then is no error


def stopped(who):
    """Stop a process until the other one has ended because of it, then let it continue."""
    heartbeat.EVERY, heartbeat.PATIENCE = 0.2, 3.0
    distributed.initialise("cpu")
    distributed.any_rank(True)  # by then both have joined, and watch
    if distributed.rank() == who:
        subprocess.Popen(["sh", "-c", f"sleep 15; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    distributed.any_rank(True)
    distributed.finish()


@pytest.mark.parametrize("who", [0, 1])  # 0 holds the store: then calls of it never return
def test_a_stopped_process_ends_the_other_with_one_line(tmp_path, who):
    other = 1 - who
    with pytest.raises(AssertionError, match=f"process {other}: process {who} of this run has not been heard of for 3 s"):
        on_ranks(tmp_path, 2, stopped, who)


def test_end_prints_the_line_and_exits_with_status_1(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(heartbeat.os, "_exit", ended.append)
    heartbeat._end("process 0: …")

    assert ended == [1]
    assert capsys.readouterr().err == "\nprocess 0: …\n"
