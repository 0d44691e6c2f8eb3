"""Pack the files to hand in to a competition: a zip with code, config, weights, list of packages and submission."""

from __future__ import annotations

import argparse

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.resume(parser, "path or name of a checkpoint, exported model, run or group of stages; repeat to average", repeat=True)
    options.output(parser, "default: bundle.zip in the run's log", "FILE.zip")
    options.overrides(parser)


def main(args: argparse.Namespace) -> int:
    """Write the zip; return the exit status."""
    from base.saved.door import find
    from trainer.shipping.bundle import run_bundle

    run_bundle([find(given) for given in args.resume], args.output, args.set)
    return 0
