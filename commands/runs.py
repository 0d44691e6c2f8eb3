"""List the runs, groups of folds and ensembles with their state, best score and size, the newest first."""

from __future__ import annotations

import argparse

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.save_dir(parser)


def main(args: argparse.Namespace) -> int:
    """Print a row for each run; return the exit status."""
    from inspection.runs import all_runs, overview

    runs = all_runs(args.save_dir)
    if not runs:
        print(f"{args.save_dir}: holds no runs yet; train one: python train.py -c configs/demo.json")
        return 0
    table = overview(runs)[["run", "status", "epochs", "monitored", "best", "MB", "problem"]]
    print(table.to_string(index=False, formatters={"MB": "{:.1f}".format}, na_rep="-", float_format="{:.6g}".format))
    return 0
