"""The errors for users: one line and an exit status, no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from utils import signals

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class UserError(ValueError):
    """The error for unusable input of the user: config, data, checkpoint or command line. Exit status 2.

    The text names the file, key or sample, the value that was found, the allowed values, and what to do.
    """

    status = 2


class RunError(UserError):
    """The error that ends a run after its start (a worker died, a loss was not finite). Exit status 1."""

    status = 1


def run(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit with its status (None is 0), 2 for bad input, 75 for SIGTERM or 130 for Ctrl-C.

    A package that is not installed counts as bad input.
    """
    signals.exit_at_once()
    try:
        status = main() or 0
    except UserError as error:
        print(error, file=sys.stderr)
        status = error.status
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if any(os.path.exists(os.path.join(ROOT, name)) for name in (package, f"{package}.py")):
            raise
        print(
            f"{package} is missing for {sys.executable} ({error}); activate the environment that has it "
            f"(. .venv/bin/activate), or: {sys.executable} -m pip install -r requirements.txt",
            file=sys.stderr,
        )
        status = 2
    signals.ignore()
    sys.exit(status)
