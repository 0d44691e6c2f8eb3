"""Check a whole data set before training: every file, every label, the split.

Exit status: 0 if training would start with these data (there may be warnings), 2 if it would refuse them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check a whole data set: unreadable files, duplicates, labels, the split"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-c", "--config", required=True, help="JSON config; only data_loader is read")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="change one config value, e.g. data_loader.args.data_dir=data/masks")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="also write the whole report as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the report. Raises UserError if the config's loader reads no image files."""
    from base.contracts import RunContext
    from data_loader.prepare.examine import examine
    from data_loader.prepare.section import ReadsImages, build_loader
    from utils import config, files
    from utils.errors import UserError

    raw = config.read(args.config, args.set)
    loader = build_loader(raw, RunContext())
    if not isinstance(loader, ReadsImages):
        raise UserError(f"{raw.file}: data_loader.type: {type(loader).__name__} reads no image files; there is nothing to check")
    report = examine(loader.samples)
    print(report.text())
    if args.output:
        files.write_json(args.output, report.as_json())
    return 0 if report.usable else 2
