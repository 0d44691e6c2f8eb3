"""Test if B is better than A, with a bootstrap that draws the same samples for both.

A and B are runs, groups of folds, ensembles, or folders with predictions.parquet and samples.parquet of the same labelled
samples. Each is scored by the metrics of its own config; scores of the same name are compared.
"""

from __future__ import annotations

import argparse

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    for side in ("a", "b"):
        parser.add_argument(
            side, metavar=side.upper(), help="path or name of a run, group or ensemble, or a folder of predictions"
        )
    for side in ("a", "b"):
        parser.add_argument(f"--{side}", metavar="RUN", dest=f"more_{side}", action="append", default=[],
                            help=f"another run of {side.upper()}, say of another seed: their mean counts")  # fmt: skip
    parser.add_argument("--metric", help='score of the verdict, as f1 or "min eer" (default: what the training of A watched)')
    parser.add_argument("--truth", choices=("A", "B"), help="score both on the labels of this side, where labels were corrected "
                        "between the two (default: refuse sides whose labels differ)")  # fmt: skip
    options.device(parser)


def main(args: argparse.Namespace) -> int:
    """Print the scores of both, their differences, and the verdict; return the exit status."""
    from base.saved.door import find
    from trainer.evaluation.compare import print_comparison
    from utils import device

    a, b = ([find(path) for path in paths] for paths in ([args.a, *args.more_a], [args.b, *args.more_b]))
    print_comparison(a, b, args.metric, device.select(args.device), args.truth)
    return 0
