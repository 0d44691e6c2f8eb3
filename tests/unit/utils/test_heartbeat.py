"""Processes that hear each other, and what is said of one that is not heard."""

import time

import pytest
import torch

from utils import heartbeat
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
        beat.stopped.set()
        beat.thread.join()


def waited(said, seconds):
    limit = time.monotonic() + seconds
    while not said and time.monotonic() < limit:
        time.sleep(0.05)
    return said


def test_processes_that_live_are_left_alone(beats):
    made, said = beats
    time.sleep(3)

    assert said == [[], [], []]
    assert all(beat.thread.is_alive() for beat in made)


def test_one_that_hangs_is_named_by_all_others(beats):
    made, said = beats
    made[1].stopped.set()  # no more beats, and no word of leaving

    for rank in (0, 2):
        (line,) = waited(said[rank], 20)
        assert line.startswith(f"process {rank}: process 1 of this run has not been heard of for 2 s")
        assert "-r auto" in line and "\n" not in line


def test_one_that_leaves_in_order_is_not_missed(beats):
    made, said = beats
    made[1].stop()
    time.sleep(3)

    assert said == [[], [], []]


def test_a_store_that_is_cut_off_silences_all(store, monkeypatch):
    said = []
    beat = Heartbeat(store, 0, 2, said.append)

    def cut(*_):
        raise torch.distributed.DistNetworkError("connection reset")

    class Cut:
        set = check = get = staticmethod(cut)

    beat.store = Cut()
    (line,) = waited(said, 20)

    assert "process 1 of this run has not been heard of" in line
    beat.stop()  # which then is no error


def test_the_process_ends_with_the_line(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(heartbeat.os, "_exit", ended.append)
    heartbeat._end("process 0: …")

    assert ended == [1]
    assert capsys.readouterr().err == "\nprocess 0: …\n"
