"""Predict a split with one checkpoint, or with the average of several, score it, and write the submission."""

from __future__ import annotations

import argparse

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.resume(parser, "path or name of a checkpoint, a run (its best), a group of folds or an ensemble; `last`: the newest "
                   "finished run, else the newest; repeat to average", repeat=True)  # fmt: skip
    options.output(parser, "where to write (default: a folder in the run's log)")
    parser.add_argument(
        "--split", choices=("valid", "test"), help="which samples (default: test where the config has a test_reader)"
    )
    options.device(parser)
    options.overrides(parser)
    options.save_dir(parser)
    options.verbosity(parser)


def main(args: argparse.Namespace) -> int:
    """Predict the split, and write the predictions, scores and submission; return the exit status."""
    from base.saved.door import find
    from trainer.evaluation.testing import run_test
    from utils import device

    several = [find(given, args.save_dir) for given in args.resume]
    run_test(
        several, device.select(args.device), split=args.split, output=args.output, overrides=args.set, verbosity=args.verbosity
    )
    return 0
