"""The errors a user sees: one line each, an exit status, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from utils import signals


class UserError(ValueError):
    """What the user gave cannot be used: config, data, checkpoint or command line.

    Its text names the file, key or sample, what was found, what is allowed and what to do. Exit status 2.
    """

    status = 2


class RunError(UserError):
    """A run that had started had to end (a worker died, a loss was not finite). Exit status 1."""

    status = 1


def run(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and exit: 0 or what it returns, 2 for bad input, 75 for SIGTERM, 130 for Ctrl-C."""
    signals.exit_at_once()
    try:
        status = main() or 0
    except UserError as error:
        print(error, file=sys.stderr)
        status = error.status
    signals.ignore()
    sys.exit(status)
