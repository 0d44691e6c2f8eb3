"""The commands: `python -m data_loader.prepare COMMAND --help`.

A command is a module of this package with HELP, `add_arguments(parser)` and `main(args) -> exit status`. It imports what
is slow to import within `main`, so that every `--help` is quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType

from data_loader.prepare import balance, check, convert, crop, groups, identities, lint
from utils.errors import run

COMMANDS: dict[str, ModuleType] = {
    "balance": balance, "check": check, "convert": convert, "crop": crop, "groups": groups, "identities": identities,
    "lint": lint,
}  # fmt: skip


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; `main` of the result is the command's."""
    parser = argparse.ArgumentParser(prog="python -m data_loader.prepare", description="Prepare a data set for training.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser.parse_args(argv)


def main() -> int:
    args = parse()
    status: int = args.main(args)
    return status


if __name__ == "__main__":
    run(main)
