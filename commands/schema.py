"""Write configs/schema.json for editors and docs/config.md for readers, from the registered classes."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one of them is stale")


def main(args: argparse.Namespace) -> int:
    """Write the files that are stale, or with --check print their names; return the exit status."""
    from trainer.experiment.schema import ROOT, stale
    from utils import files

    old = stale()
    if args.check and old:
        print(f"{', '.join(path.relative_to(ROOT).as_posix() for path in old)}: stale; run python laurel.py schema")
        return 1
    for path, text in old.items():
        files.write_bytes(path, text.encode())
    return 0
