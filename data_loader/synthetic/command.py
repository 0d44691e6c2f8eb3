"""The command line that writes a synthetic data set in one of the registered layouts."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from base.registry import import_all
from data_loader.synthetic.layouts import LAYOUTS, Layout


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line on stderr and exit status 2."""
    import_all("data_loader")
    parser = _parser()
    arguments = vars(parser.parse_args(argv))
    write, folder = arguments.pop("write"), arguments.pop("folder")
    try:
        write(folder, **arguments)
    except (OSError, ValueError) as error:
        parser.error(str(error))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with the message alone; argparse would print the usage before it."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m data_loader.synthetic.command", description="Write a data set of synthetic portraits.")
    layouts = parser.add_subparsers(required=True, metavar=f"{{{','.join(sorted(LAYOUTS))}}}")
    for name in sorted(LAYOUTS):
        _add_layout(layouts, name, LAYOUTS[name])
    return parser


def _add_layout(layouts: Any, name: str, layout: Layout) -> None:
    """Add the parser of one layout: the common options, and one option for each further argument of `write`."""
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser: argparse.ArgumentParser = layouts.add_parser(name, help=layout.shows, description=layout.shows, formatter_class=shown)
    parser.set_defaults(write=layout.write)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder to write; must not exist yet")
    for key, (default, text) in _counts(layout).items():
        parser.add_argument(f"--{key.replace('_', '-')}", metavar="N", type=int, default=default, help=text)
    parser.add_argument("--seed", type=int, default=0, help="seed of the population")
    side, unset = ("HEIGHT", "WIDTH"), argparse.SUPPRESS
    parser.add_argument("--size", nargs=2, type=int, metavar=side, default=unset, help="pixels")


def _counts(layout: Layout) -> dict[str, tuple[int, str]]:
    """Return default and description of each argument of `write` that is a number of things."""
    hints = get_type_hints(layout.write, include_extras=True)
    defaults = {name: parameter.default for name, parameter in inspect.signature(layout.write).parameters.items()}
    return {name: (defaults[name], get_args(kind)[1]) for name, kind in hints.items() if get_origin(kind) is Annotated}


if __name__ == "__main__":
    main()
