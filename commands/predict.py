"""Predict pictures that are in no data set, with the preprocessing and the decoder of evaluation, as a table with class names.

A row for each picture, for each box with detection; -o writes the table as CSV, a vector as a column for each number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.resume(parser, "checkpoint, exported model, or run: its path or its name; `last`: the newest run")
    parser.add_argument("pictures", metavar="PICTURE", type=Path, nargs="+", help="a picture, or a folder of pictures")
    options.output(parser, "also write the table, as CSV", "FILE")
    options.device(parser)
    options.overrides(parser)


def main(args: argparse.Namespace) -> int:
    """Print the table, and write it if that is asked for; return the exit status."""
    from base.saved.door import find, model_file
    from inspection.model import Model, listed, without_vectors
    from trainer.evaluation.pictures import PictureModel
    from utils import device, files

    model = Model(PictureModel.open(model_file(find(args.resume)), device.select(args.device), args.set))
    table = model.predict([picture for given in args.pictures for picture in listed(given)])
    print(table.to_string(index=False, float_format="{:.4f}".format))
    if args.output is not None:
        files.write_bytes(args.output, without_vectors(table).to_csv(index=False).encode())
        print(f"{args.output}: {len(table):,} rows")
    return 0
