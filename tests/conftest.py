"""Fixtures for everyone, and those of each task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tasks import modules

pytest_plugins = modules("fixtures")


@pytest.fixture
def one_thread() -> Any:
    """torch with one thread, as the scripts are run by the tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
