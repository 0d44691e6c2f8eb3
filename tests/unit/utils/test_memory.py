"""Test that freed CPU memory is kept for the next step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils import memory

ROOT = Path(__file__).parents[3]
STEPS = """
import resource, sys
import torch
from utils import memory

assert sys.argv[1] == "given" or memory.keep_freed()
block = torch.ones(30 << 18)  # 30 MiB
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = torch.ones(20 << 18)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(side):
    """Return the number of new pages that a block needs after a larger block was freed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    run = subprocess.run([sys.executable, "-c", STEPS, side], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_a_new_block_uses_the_memory_of_a_freed_one():
    if not memory.keep_freed():
        pytest.skip("the C library is not glibc")

    assert faults("given") > 5000  # of 5,120: the larger one was given back
    assert faults("kept") < 500


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_keep_freed_returns_false_without_glibc(monkeypatch, error):
    def without(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", without)

    assert memory.keep_freed() is False
