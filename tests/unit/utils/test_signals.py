"""Test SIGTERM and SIGINT inside and outside of training."""

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from utils.signals import StopRequest


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_is_noted_and_raises_nothing(number, status):
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
        assert stop.received == number
    assert stop.exit_status == status


def test_the_first_signal_counts():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.received == signal.SIGTERM


def test_the_old_handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(KeyError), StopRequest():
        raise KeyError
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_without_a_signal_the_exit_status_is_75():
    assert StopRequest().exit_status == 75


@pytest.mark.parametrize(("number", "status", "said"), [(signal.SIGTERM, 75, ""), (signal.SIGINT, 130, "interrupted\n")])
def test_outside_of_training_a_signal_ends_the_script_at_once(number, status, said):
    code = f"import os; from utils.errors import run; run(lambda: os.kill(os.getpid(), {int(number)}) or input())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert (ended.returncode, ended.stderr) == (status, said)
