"""Memory of the CPU that stays for the next step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils import memory

ROOT = Path(__file__).parents[3]
STEPS = """
import resource
import torch
from utils import memory

assert memory.keep_freed()

def step():
    blocks = [torch.ones(1 << 20) for _ in range(32)]  # 4 MiB each

for number in range(15):
    if number == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_step_uses_the_memory_of_the_one_before():
    if not memory.keep_freed():
        pytest.skip("the C library is not glibc")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    run = subprocess.run([sys.executable, "-c", STEPS], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)

    assert int(run.stdout) < 3000  # pages anew in five steps; given back, they would be five times 32,768


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def without(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", without)

    assert memory.keep_freed() is False
