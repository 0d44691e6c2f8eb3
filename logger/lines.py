"""Print lines for the user."""

from __future__ import annotations

from utils import distributed


def say(*lines: str) -> None:
    """Print lines to standard output, from the main process only."""
    if distributed.is_main():
        for line in lines:
            print(line, flush=True)
