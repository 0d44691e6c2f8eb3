"""Write a trained model as one file for other programs to run, with its model card."""

from __future__ import annotations

import argparse

from utils import options

FORMATS = ("onnx", "torch", "exported-program")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.resume(parser, "path or name of a checkpoint, a run or a group of stages; `last`: the newest finished run")
    options.output(parser, "for the file and its model card (default: `export` in the run's log)")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="torch: a checkpoint without what training needs")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--half", action="store_true", help="weights in float16 (onnx, torch)")
    kinds.add_argument("--int8", action="store_true", help="weights and activations in 8 bits (onnx)")
    parser.add_argument("--samples", type=int, default=128, metavar="N", help="golden samples that both models must agree on")
    parser.add_argument("--allow", type=float, metavar="SHARE",
                        help="of decisions that may differ (default: 0; 0.005 with --half, 0.02 with --int8)")  # fmt: skip
    options.overrides(parser)


def main(args: argparse.Namespace) -> int:
    """Write the exported file and its model card; return the exit status."""
    from base.saved.door import find
    from trainer.shipping.export import run_export

    kind = "int8" if args.int8 else "fp16" if args.half else "fp32"
    saved = find(args.resume)
    run_export(saved, args.output, args.format, kind, samples=args.samples, allow=args.allow, overrides=args.set)
    return 0
