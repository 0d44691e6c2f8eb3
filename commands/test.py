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
    from trainer.evaluation.testing import run_test

    return run_test(args)
