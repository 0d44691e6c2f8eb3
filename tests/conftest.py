"""Fixtures of each task."""

from __future__ import annotations

import os

from tests.tasks import modules

# Before torch is imported: tests run in a process for each core, where more threads than one only wait for each other.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

pytest_plugins = modules("fixtures")
