"""Write a data set of synthetic portraits, in one of the layouts that the tasks register."""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from utils.errors import UserError

if TYPE_CHECKING:
    from data_loader.synthetic.layouts import Layout

DATA_LOADER = Path(__file__).parents[1] / "data_loader"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a subcommand for each layout."""
    from data_loader.synthetic.layouts import LAYOUTS

    for path in sorted(DATA_LOADER.glob("*/synthetic.py")):
        importlib.import_module(f"data_loader.{path.parent.name}.{path.stem}")
    layouts = parser.add_subparsers(required=True, dest="layout", metavar=f"{{{','.join(sorted(LAYOUTS))}}}")
    for name in sorted(LAYOUTS):
        _add_layout(layouts, name, LAYOUTS[name])


def main(args: argparse.Namespace) -> int:
    """Write the data set; return the exit status. Raises UserError if the layout refuses the options or cannot be written."""
    from data_loader.synthetic.layouts import LAYOUTS

    given = dict(vars(args))
    layout, folder = given.pop("layout"), given.pop("folder")
    try:
        LAYOUTS[layout].write(folder, **given)
    except (OSError, ValueError) as error:
        raise UserError(f"{layout}: {error}") from None
    return 0


def _add_layout(layouts: Any, name: str, layout: Layout) -> None:
    """Add the parser of one layout: the common options, and one option for each further argument of `write`."""
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser: argparse.ArgumentParser = layouts.add_parser(name, help=layout.shows, description=layout.shows, formatter_class=shown)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder to write; must not exist yet")
    for key, (default, text) in counted(layout).items():
        parser.add_argument(f"--{key.replace('_', '-')}", metavar="N", type=int, default=default, help=text)
    parser.add_argument("--seed", type=int, default=0, help="seed of the population")
    side, unset = ("HEIGHT", "WIDTH"), argparse.SUPPRESS
    parser.add_argument("--size", nargs=2, type=int, metavar=side, default=unset, help="pixels")


def counted(layout: Layout) -> dict[str, tuple[int, str]]:
    """Return name -> (default, description), for each argument of `write` that has a description (an Annotated number)."""
    hints = get_type_hints(layout.write, include_extras=True)
    defaults = {name: parameter.default for name, parameter in inspect.signature(layout.write).parameters.items()}
    return {name: (defaults[name], get_args(kind)[1]) for name, kind in hints.items() if get_origin(kind) is Annotated}
