"""Join folds that were trained separately, for example on other machines, into a group, and predict the held-out samples.

`train.py --folds` trains the folds. All folds must be of the same config and the same data.
"""

from __future__ import annotations

import argparse

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run, or a group of folds: its folder or its name")
    options.device(parser)


def main(args: argparse.Namespace) -> int:
    """Join the folds; return the exit status."""
    from base.saved.door import find
    from trainer.evaluation.shelf import Shelf
    from trainer.runs.folds import join
    from utils import device

    with Shelf(device.select(args.device), verbosity=2) as shelf:
        join([find(run) for run in args.runs], shelf)
    return 0
