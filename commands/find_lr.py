"""Raise the learning rate from step to step until the loss explodes, draw the curve, and suggest a rate.

The command writes lr.csv, lr.json and lr.png. The weights of the sweep are not kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser, "JSON config of a run")
    options.output(parser, "folder for lr.csv, lr.json and lr.png (default: saved/find-lr/CONFIG)")
    options.device(parser)
    options.overrides(parser)
    parser.add_argument("--from", dest="low", metavar="LR", type=float, default=1e-7, help="the first rate (default: 1e-7)")
    parser.add_argument("--to", dest="high", metavar="LR", type=float, default=1.0, help="the last rate (default: 1)")
    parser.add_argument("--steps", metavar="N", type=int, default=200, help="steps in between (default: 200)")


def main(args: argparse.Namespace) -> int:
    """Run the sweep, and write and print the suggestion; return the exit status.

    Raises UserError if the config describes stages, or there are several processes.
    """
    import os

    from trainer.runs.find_lr import Ramp, suggest, sweep, write
    from trainer.runs.launch import plan
    from utils import device
    from utils.errors import UserError

    ramp = Ramp(args.low, args.high, args.steps)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("find-lr: runs in one process; start it without torchrun (batch_size is that of all processes)")
    planned = plan(args.config, args.set)
    if planned.kind is not None:
        raise UserError(f"{args.config}: describes stages, each with rates of its own; give the config of one of them")
    made = sweep(planned.experiments[0], ramp, device.select(args.device))
    suggestion = suggest(made.rates, made.smoothed, made.diverged, made.ended)
    output = args.output or Path("saved", "find-lr", Path(args.config).stem)
    write(made, suggestion, output)
    print(*suggestion.lines(), f"the curve: {output / 'lr.png'}, lr.csv, lr.json", sep="\n")
    return 0
