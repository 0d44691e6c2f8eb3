"""Processes that hear each other, and what is said of one that is not heard."""

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
    """Three processes' heartbeats, and what each said when it ended."""
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


def test_processes_that_live_are_left_alone(beats):
    made, said = beats
    time.sleep(4)

    assert said == [[], [], []]
    assert all(thread.is_alive() for beat in made for thread in beat.threads)


def test_one_that_falls_silent_is_named_by_all_others(beats):
    made, said = beats
    made[1].stop(in_order=False)

    for rank in (0, 2):
        (line,) = waited(said[rank], 20)
        assert line.startswith(f"process {rank}: process 1 of this run has not been heard of for 2 s")
        assert "-r auto" in line and "\n" not in line


def test_one_that_leaves_in_order_is_not_missed(beats):
    made, said = beats
    made[1].stop(in_order=True)
    time.sleep(4)

    assert said == [[], [], []]


def test_a_store_that_has_gone_silences_all(store):
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
    """A process is stopped for so long that the other one gives it up; it goes on when that has ended."""
    heartbeat.EVERY, heartbeat.PATIENCE = 0.2, 3.0
    distributed.initialise("cpu")
    distributed.any_rank(True)  # by then both have joined, and watch
    if distributed.rank() == who:
        subprocess.Popen(["sh", "-c", f"sleep 15; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    distributed.any_rank(True)
    distributed.finish()


@pytest.mark.parametrize("who", [0, 1])  # 0 holds the store: then calls of it never return
def test_a_process_that_is_stopped_ends_the_other_in_one_line(tmp_path, who):
    other = 1 - who
    with pytest.raises(AssertionError, match=f"process {other}: process {who} of this run has not been heard of for 3 s"):
        on_ranks(tmp_path, 2, stopped, who)


def test_the_process_ends_with_the_line(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(heartbeat.os, "_exit", ended.append)
    heartbeat._end("process 0: …")

    assert ended == [1]
    assert capsys.readouterr().err == "\nprocess 0: …\n"
