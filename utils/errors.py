"""The errors a user sees: one line each, an exit status, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from utils import signals

ROOT = Path(__file__).parents[1]


class UserError(ValueError):
    """What the user gave cannot be used: config, data, checkpoint or command line.

    Its text names the file, key or sample, what was found, what is allowed and what to do. Exit status 2.
    """

    status = 2


class RunError(UserError):
    """A run that had started had to end (a worker died, a loss was not finite). Exit status 1."""

    status = 1


def run(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit: 0 or what it returns, 2 for bad input, 75 for SIGTERM, 130 for Ctrl-C.

    A package that is not installed is bad input too.
    """
    signals.exit_at_once()
    try:
        status = main() or 0
    except UserError as error:
        print(error, file=sys.stderr)
        status = error.status
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if (ROOT / package).is_dir() or (ROOT / f"{package}.py").exists():
            raise
        print(f"{package} is missing for {sys.executable} ({error}); activate the environment that has it "
              f"(. .venv/bin/activate), or: {sys.executable} -m pip install -r requirements.txt", file=sys.stderr)  # fmt: skip
        status = 2
    signals.ignore()
    sys.exit(status)
