"""Check a submission file before it is handed in: form, ids, order, repeated rows, range of answers.

Exit status: 0 if the file fits the config's submission, 2 if it does not: then a line names each kind of problem.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser, "JSON config; only submission and data_loader are read", positional=False)
    options.overrides(parser)
    parser.add_argument("file", metavar="FILE", type=Path, help="the submission")


def main(args: argparse.Namespace) -> int:
    """Print the verdict; return the exit status. Raises UserError, which lists all problems, if the file has problems."""
    from base.contracts import RunContext
    from data_loader.prepare.section import build_loader, build_submission
    from utils import config
    from utils.errors import UserError

    raw = config.read(args.config, args.set)
    submission, loader = build_submission(raw), build_loader(raw, RunContext())
    try:
        content = args.file.read_bytes()
    except OSError as error:
        raise UserError(f"{args.file}: cannot be read ({error.strerror})") from None
    verdict = submission.lint(content, loader.table("test"), loader.data_dir)
    if verdict.problems:
        raise UserError("\n".join(f"{args.file}: {problem}" for problem in verdict.problems))
    print(f"{args.file}: {verdict.rows:,} rows, complete, in order and in range for {type(submission).__name__}")
    return 0
