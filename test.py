"""Predict with a checkpoint, score, and write the submission: `python test.py -r saved/models/masks/<run>`."""

from __future__ import annotations

import argparse

from utils.errors import run


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Predict with one checkpoint, or with the average of several.")
    parser.add_argument("-r", "--resume", metavar="CKPT", action="append", required=True,
                        help="checkpoint, a run's folder for its best, or a group of folds or an ensemble as one; "
                        "`last`: the newest run; repeat to average")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DIR", help="where to write (default: a folder in the run's log)")
    parser.add_argument(
        "--split", choices=("valid", "test"), help="which samples (default: test where the config has a test_reader)"
    )
    parser.add_argument("-d", "--device", help="cpu, cuda, cuda:N or mps (default: a GPU if there is one)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one config value")
    parser.add_argument("--save-dir", default="saved", help="where `last` looks for runs")
    parser.add_argument("--verbosity", type=int, default=2, help="2 with progress bars, 1 without")
    return parser.parse_args()


def main() -> int:
    args = parse()
    from trainer.evaluation.testing import run_test  # heavy imports: not for --help

    return run_test(args)


if __name__ == "__main__":
    run(main)
