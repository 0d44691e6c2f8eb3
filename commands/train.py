"""Train the model that a config describes, or resume a run.

Exit status: 0 done, 2 bad input, 75 stopped by SIGTERM, 130 stopped by Ctrl-C. After 75 or 130 run again with -r auto.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from utils import options
from utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser, "JSON config; not needed with -r PATH", required=False)
    options.resume(parser, "path or name of the checkpoint, run or group to go on with; `last`: the newest unfinished run, else "
                   "the newest; `auto`: the newest unfinished run of this config, or a new one", required=False)  # fmt: skip
    options.device(parser)
    options.overrides(parser)
    options.shortcuts(parser)
    parser.add_argument("--folds", metavar="all|0,2", help="train these folds of the config's split, each as a run of one group")
    parser.add_argument("--check", action="store_true", help="check the config, report all problems, and stop")


def main(args: argparse.Namespace) -> int:
    """Train, or with --check report the config's problems; return the exit status. Raises UserError if no config is given."""
    if not args.config and (args.check or args.folds is not None or args.resume in (None, "auto")):
        raise UserError("-c/--config: is required; without one, -r PATH and -r last go on with a run")
    if args.config and Path(args.config).suffix != ".json" and os.path.exists(args.config):
        raise UserError(f"{args.config}: is no config; write one with: python laurel.py init {args.config}")
    from trainer.runs.launch import launch, plan, require_runnable, say_ok

    planned = plan(args.config, args.set, args.folds) if args.config else None
    if planned is not None and args.check:
        require_runnable(planned.experiments)
        say_ok(planned.experiments)
        return 0
    return launch(planned, args.resume, args.device, args.set).status
