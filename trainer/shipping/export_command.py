"""Write a trained model as one file for others to run: `python laurel.py export -r CKPT`.

A script that is kept beside what it writes: like those at the top of the project it may import everything, and nothing
imports it.
"""

from __future__ import annotations

import argparse

from utils.errors import run

FORMATS = ("onnx", "torch", "exported-program")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python laurel.py export", description=__doc__.splitlines()[0])
    parser.add_argument(
        "-r", "--resume", metavar="CKPT", required=True, help="checkpoint, or the folder of a run or of a group of stages"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="for the file and its model card; default: `export` in the run's log"
    )
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="torch: a checkpoint without what training needs")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--half", action="store_true", help="weights in float16 (onnx, torch)")
    kinds.add_argument("--int8", action="store_true", help="weights and activations in 8 bits (onnx)")
    parser.add_argument("--samples", type=int, default=128, metavar="N", help="golden samples that both models must agree on")
    parser.add_argument("--allow", type=float, metavar="SHARE",
                        help="of decisions that may differ (default: 0; 0.005 with --half, 0.02 with --int8)")  # fmt: skip
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one config value")
    return parser.parse_args()


def main() -> int:
    args = parse()
    from trainer.shipping.export import run_export  # heavy imports: not for --help

    return run_export(args)


if __name__ == "__main__":
    run(main)
