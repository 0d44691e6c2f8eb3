"""What many tests need: a trainer built from a config in this process, and the scripts in another."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import runpy
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def launch(config: Path | None, resume: str | Path | None = None, folds: str | None = None, overrides: Sequence[str] = ()) -> int:
    """Train in this process as `train.py -d cpu` would; return the exit status. config: None to resume without one."""
    from trainer.runs import launch as door

    planned = door.plan(config, overrides, folds) if config is not None else None
    return door.launch(planned, resume, "cpu", overrides).status


def build_trainer(config: Path, folder: Path | None = None) -> Any:
    """A trainer in this process, in a new run folder or in `folder`."""
    import torch

    from base.saved.run_folder import RunFolder
    from trainer.experiment import build, checking
    from utils.config import read

    experiment = checking.check(read(config))
    loader = build.build_loader(experiment, torch.device("cpu"))
    run = RunFolder.at(folder) if folder else RunFolder.create(Path(experiment.config.trainer.save_dir), experiment.config.name)
    return build.build_trainer(experiment, loader, run, torch.device("cpu"))


def run_folders(folder: Path) -> list[Path]:
    """Return the model folders of all runs of a config that trains into `folder/saved`."""
    return sorted((folder / "saved" / "models").glob("*/*"))


# Scripts in other processes -----------------------------------------------------------------------------------------

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT),
}  # fmt: skip
# Importing these takes most of a script's time: a server imports them once, and every script is forked from it.
IMPORTED = ["torch", "timm", "torchvision", "albumentations", "sklearn.model_selection", "sklearn.metrics", "pyarrow.parquet",
            "torch.distributed.nn.functional", "trainer.runs.launch", "trainer.evaluation.testing"]  # fmt: skip


@cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)
    return context


@dataclass
class Result:
    """How a script ended and what it said."""

    status: int  # -9 where it was killed
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """The lines on standard error."""
        return self.errors.splitlines()


class Script:
    """A script of the project in a process group of its own, as `python train.py …` would run it."""

    def __init__(self, folder: Path, script: str, *args: str | Path, environment: dict[str, str] | None = None) -> None:
        self.texts = [Path(tempfile.mkstemp(dir=folder, suffix=suffix)[1]) for suffix in (".out", ".err")]
        self.process = _process(_run_script, self.texts, environment, script, [str(arg) for arg in args])
        self.process.start()

    def wait(self, timeout: float = 90) -> Result:
        """To its end; killed after `timeout` seconds, which is a failure."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.signal(signal.SIGKILL)
            self.process.join()
            raise TimeoutError(f"still running after {timeout} s:\n" + "\n".join(text.read_text() for text in self.texts))
        return Result(self.process.exitcode, *(text.read_text() for text in self.texts))

    def signal(self, number: int, group: bool = True) -> None:
        """Send a signal to the process, or to it and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number) if group else os.kill(self.process.pid, number)

    def children(self) -> list[int]:
        """Its own child processes, the oldest first; Linux only."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError, IndexError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    found.append(int(entry.name))
        return sorted(found)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Until the condition holds; an error where the script ends before."""
        limit = time.monotonic() + timeout
        while not condition():
            if self.process.exitcode is not None or time.monotonic() > limit:
                raise TimeoutError("\n".join(text.read_text() for text in self.texts))
            time.sleep(0.01)


def run(folder: Path, script: str, *args: str | Path, **options: Any) -> Result:
    """A script of the project, to its end. `folder` takes what it says."""
    return Script(folder, script, *args, **options).wait()


def succeed(folder: Path, *words: str | Path) -> None:
    """Run a script of the project on the CPU. `folder` takes what it says. Raises AssertionError if it fails."""
    result = run(folder, *map(str, words), "-d", "cpu")
    assert result.status == 0, result.errors


def ranks(number: int) -> list[dict[str, str]]:
    """What torchrun puts into the environment of each of the processes of one job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    job = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    return [{**job, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]


def start_job(folder: Path, number: int, script: str, *args: str | Path) -> list[Script]:
    """A script in several processes that work together."""
    return [Script(folder, script, *args, environment=environment) for environment in ranks(number)]


def on_ranks(
    folder: Path, number: int, function: Callable[..., Any], *args: Any, environment: dict[str, str] | None = None
) -> list[Any]:
    """What a function of a module gives on each of several processes that work together."""
    answers = [folder / f"rank{rank}.pickle" for rank in range(number)]
    texts = [Path(tempfile.mkstemp(dir=folder)[1]) for _ in range(2)]
    processes = []
    for answer, rank in zip(answers, ranks(number), strict=True):
        processes.append(_process(_run_function, texts, rank | (environment or {}), function, args, answer))
        processes[-1].start()
    for process in processes:
        process.join(60)
        process.kill()
    if any(process.exitcode for process in processes):
        raise AssertionError("\n".join(text.read_text() for text in texts))
    return [pickle.loads(answer.read_bytes()) for answer in answers]


def _process(target: Callable[..., None], texts: list[Path], environment: dict[str, str] | None, *args: Any) -> Any:
    return _server().Process(target=_run, args=(target, texts, {**ENVIRONMENT, **(environment or {})}, *args))


def _run(target: Callable[..., None], texts: list[Path], environment: dict[str, str], *args: Any) -> None:
    os.setsid()
    os.chdir(ROOT)
    for number, text in enumerate(texts, 1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_APPEND), number)
    os.environ.update(environment)
    target(*args)


def _run_script(script: str, args: list[str]) -> None:
    if script == "-m":
        sys.argv = args
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [script, *args]
        runpy.run_path(str(ROOT / script), run_name="__main__")


def _run_function(function: Callable[..., Any], args: tuple[Any, ...], answer: Path) -> None:
    from utils import distributed

    distributed.initialise("cpu")
    value = function(*args)
    distributed.finish()
    answer.write_bytes(pickle.dumps(value))
