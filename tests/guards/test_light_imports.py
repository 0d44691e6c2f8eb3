"""Check that quick commands do not import slow libraries."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from laurel import available
from tests.shipped import CONFIGS, ROOT

SLOW = (
    "IPython huggingface_hub matplotlib numpy.f2py pandas pycocotools pytorch_metric_learning scipy.special scipy.stats sklearn "
    "streamlit tensorboard timm torch._dynamo torch._inductor torch.utils.tensorboard torchvision wandb"
).split()


def imported(*arguments: str | Path, script: str = "train.py") -> set[str]:
    """Return the slow modules that a script, in its own process, has imported when it ends."""
    code = (
        "import runpy, sys, json, atexit\n"
        f"atexit.register(lambda: print('\\n' + json.dumps([name for name in {[*SLOW, 'torch']} if name in sys.modules])))\n"
        "sys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""  # neither warnings nor complaints of a library at its end
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def networks_and_losses() -> set[str]:
    """Return the slow modules that timm and pytorch_metric_learning import: a check makes the network and the loss."""
    code = (
        "import sys, json, timm; from pytorch_metric_learning import distances, losses, miners\n"
        f"print(json.dumps([name for name in {SLOW} if name in sys.modules]))"
    )
    return set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout))


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.parent.name == "configs"], ids=lambda path: path.name)
def test_a_check_imports_nothing_slow_beside_networks_and_losses(path: Path, networks_and_losses: set[str]) -> None:
    assert imported("-c", path, "--check") - networks_and_losses == {"torch"}


@pytest.mark.parametrize("verb", available())
def test_the_help_of_a_command_imports_nothing_slow(verb: str) -> None:
    assert imported(verb, "--help", script="laurel.py") == set()


def test_the_list_of_commands_costs_no_more_than_starting_python() -> None:
    def seconds(*words: str) -> float:
        def spent() -> float:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime

        before = spent()
        subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        return spent() - before

    beyond = min(seconds("laurel.py", "--help") for _ in range(5)) - min(seconds("-c", "pass") for _ in range(5))
    assert beyond < 0.02
