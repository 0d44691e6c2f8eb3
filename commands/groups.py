"""Find pictures that show nearly the same, and write the groups to a CSV file with the columns id and source.

In a config, data_loader.args.sources.file names the file and data_loader.args.split.group is "source".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options

WITHIN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--images", required=True, type=Path, help="folder of the pictures; ids are their paths below it")
    parser.add_argument("--within", type=int, default=WITHIN, help=f"bits of 272 that may differ (default {WITHIN})")
    options.output(parser, "CSV file to write", "FILE", required=True)


def main(args: argparse.Namespace) -> int:
    """Write the file, and print the largest groups; return the exit status. Raises UserError if --within is out of range."""
    import csv
    import io
    from collections import Counter

    from data_loader.formats.pattern_reader import PatternReader
    from data_loader.samples.near_duplicates import BITS, HEADER, near_duplicates
    from utils import files
    from utils.errors import UserError

    if not 0 <= args.within < BITS // 2:
        raise UserError(f"--within {args.within}: allowed: 0 to {BITS // 2 - 1}")
    table = PatternReader(".*").read(args.images)
    sources = near_duplicates(table, args.within)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([HEADER, *zip(table.ids(), sources, strict=True)])
    files.write_bytes(args.output, text.getvalue().encode())
    sizes = Counter(sources)
    print(f"{args.output}: {len(table):,} images of {len(sizes):,} sources")
    print("largest: " + ", ".join(f"{name} ({number:,})" for name, number in sizes.most_common(5)))
    return 0
