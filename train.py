"""Train the model of a config: `python train.py -c configs/demo.json`, the same as `python laurel.py train`."""

from __future__ import annotations

import sys

from laurel import command
from utils.errors import run

if __name__ == "__main__":
    run(lambda: command("train", sys.argv[1:]))
