"""Fit the weights of an ensemble of runs or groups of folds; `python test.py -r DIR` predicts with the ensemble."""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("members", metavar="RUN", nargs="+", help="group of folds, run, or checkpoint: its path or its name")
    options.output(parser, "where to write the ensemble (default: saved/ensemble-TIME)")
    parser.add_argument("--monitor", help='score that the weights are for, as "max f1" (default: that of the first config)')
    options.device(parser)


def main(args: argparse.Namespace) -> int:
    """Fit and write the ensemble; return the exit status. Raises UserError if there are fewer than two members."""
    from datetime import UTC, datetime

    from base.saved.door import find
    from trainer.evaluation.ensemble import fit
    from trainer.evaluation.shelf import Shelf
    from utils import device
    from utils.errors import UserError

    if len(args.members) < 2:
        raise UserError("an ensemble has at least two members; name more runs or groups")
    output = args.output or Path("saved", f"ensemble-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    with Shelf(device.select(args.device), verbosity=2) as shelf:
        fit([find(member) for member in args.members], output, args.monitor, shelf)
    return 0
