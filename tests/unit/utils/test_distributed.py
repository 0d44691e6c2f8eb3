"""Joining the other processes of a job; what they do together is in the integration tests."""

import pytest

from tests.helpers import ranks
from utils import distributed, meeting
from utils.errors import RunError


def test_a_process_that_stays_alone_ends_in_one_line(monkeypatch):
    monkeypatch.setattr(meeting, "PATIENCE", 1.0)
    for name, value in ranks(2)[0].items():
        monkeypatch.setenv(name, value)

    with pytest.raises(RunError, match=r"^process 0: cannot join the other processes of this run \(.*\)$"):
        distributed.initialise("cpu")
    assert distributed.world_size() == 1
