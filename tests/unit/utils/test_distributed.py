"""Test joining the other processes of a job; integration tests cover the work of several processes."""

import pytest

from tests.helpers import ranks
from utils import distributed, meeting
from utils.errors import RunError


def test_a_process_without_the_others_ends_with_one_line(monkeypatch):
    monkeypatch.setattr(meeting, "PATIENCE", 1.0)
    for name, value in ranks(2)[0].items():
        monkeypatch.setenv(name, value)

    with pytest.raises(RunError, match=r"^process 0: cannot join the other processes of this run \(.*\)$"):
        distributed.initialise("cpu")
    assert distributed.world_size() == 1
