"""Run test.py from the app, in a process of its own: the app stays quick and holds no second model in memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from inspection.runs import Run
from utils.errors import UserError

SCRIPT = Path(__file__).parents[1] / "test.py"
SHARE = re.compile(r"(\d{1,3})%\|")  # as tqdm writes it


def command(run: Run, split: str) -> str:
    """Return the command line that predicts a split with a run."""
    return f"python test.py -r {run.folder} --split {split}"


def predict(run: Run, split: str, progress: Callable[[float], object]) -> None:
    """Predict a split with a run, and wait for the end. progress: called with the finished share, in [0, 1].

    Raises UserError with the last lines of the script if the script fails. If the call is interrupted, the process is
    terminated.
    """
    words = [sys.executable, str(SCRIPT), "-r", str(run.folder), "--split", split, "--verbosity", "2"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    said = b""
    try:
        while piece := process.stderr.read1(4096):  # type: ignore[attr-defined]
            said = (said + piece)[-20_000:]
            if shares := SHARE.findall(piece.decode(errors="replace")):
                progress(min(int(shares[-1]), 100) / 100)
        if process.wait() != 0:
            lines = [line for line in re.split(r"[\r\n]+", said.decode(errors="replace")) if line.strip() and "%|" not in line]
            raise UserError("\n".join(lines[-5:]) or f"{command(run, split)}: ended with status {process.returncode}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stderr.close()
