"""The commands: `python -m data_loader.prepare COMMAND --help`.

A command is a module of this package with HELP, `add_arguments(parser)` and `main(args) -> exit status`. Slow imports are
within `main`, so that every `--help` is quick.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType

from utils.errors import run

MODULES = (
    "detection.balance", "prepare.check", "detection.convert", "prepare.crop", "prepare.groups", "verification.identities",
    "prepare.lint",
)  # fmt: skip
COMMANDS: dict[str, ModuleType] = {name.rpartition(".")[2]: importlib.import_module(f"data_loader.{name}") for name in MODULES}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line; its `main` is the function of the command."""
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
