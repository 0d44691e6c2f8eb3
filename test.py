"""Predict with a checkpoint, score, and write the submission: `python test.py -r last`, the same as `python laurel.py test`."""

from __future__ import annotations

import sys

from laurel import command
from utils.errors import run

if __name__ == "__main__":
    run(lambda: command("test", sys.argv[1:]))
