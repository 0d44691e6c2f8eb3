"""The options that several commands share, each declared once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from utils.config import SHORTCUTS, Override, did_you_mean
from utils.errors import UserError

CHANGE = re.compile(r"--([^-=][^=]*[.\[:][^=]*=.*)", re.DOTALL)  # --a.b.c=VALUE
TYPES = {"lr": float, "bs": int, "epochs": int}  # of the values of SHORTCUTS; the others are text


class Parser(argparse.ArgumentParser):
    """A command line, in which `--a.b.c=VALUE` is short for `--set a.b.c=VALUE` if the command has `--set`."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return what argparse reads in the words once every override is spelled out."""
        self._refuse_config(args or ())
        if args is not None and "--set" in self._option_string_actions:
            end = args.index("--") if "--" in args else len(args)
            words = [(CHANGE.fullmatch(word), word) for word in args[:end]]
            args = [part for match, word in words for part in (("--set", match[1]) if match else (word,))] + [*args[end:]]
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return what argparse reads in the words. Raises UserError that names the nearest option for an unknown word."""
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = did_you_mean(unknown[0].partition("=")[0], [name for name in self._option_string_actions if len(name) > 2])
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return values

    def _refuse_config(self, args: Sequence[str]) -> None:
        """Raise UserError for `-c` of older templates, if the command takes what was trained and no config."""
        options, words = self._option_string_actions, [word.partition("=")[0] for word in args]
        if "--resume" in options and "--config" not in options and (old := {"-c", "--config"}.intersection(words)):
            raise UserError(f"{self.prog} {old.pop()}: leave it out: what -r names holds its config; --set changes its values")

    def error(self, message: str) -> NoReturn:
        """Raise UserError, one line, where argparse would print all options first."""
        raise UserError(f"{self.prog}: {message}; {self.prog} --help lists the options")


def config(parser: argparse.ArgumentParser, help: str = "JSON config", required: bool = True, positional: bool = True) -> None:
    """Add the config: `-c FILE`, and the file alone where no other word of the command could be one."""
    if not positional:
        parser.add_argument("-c", "--config", required=required, help=help)
        return
    either = parser.add_mutually_exclusive_group(required=required)
    either.add_argument("-c", "--config", help=help)
    either.add_argument("config", metavar="CONFIG", nargs="?", default=argparse.SUPPRESS, help="the same without -c")


def resume(parser: argparse.ArgumentParser, help: str, required: bool = True, repeat: bool = False) -> None:
    """Add `-r`: what was trained before. repeat: whether it may be given several times, for a list."""
    action = "append" if repeat else "store"
    parser.add_argument("-r", "--resume", metavar="CKPT", action=action, required=required, help=help)


def device(parser: argparse.ArgumentParser) -> None:
    """Add `-d`."""
    parser.add_argument("-d", "--device", help="cpu, cuda, cuda:N or mps (default: a GPU if there is one)")


def overrides(parser: argparse.ArgumentParser) -> None:
    """Add `--set`, for a list of overrides in their order."""
    help = "change one config value, as data_loader.args.data_dir=data/masks; repeatable; or --a.b.c=VALUE"
    parser.add_argument("--set", metavar="a.b.c=VALUE", action="append", default=[], type=_override, help=help)


def shortcuts(parser: argparse.ArgumentParser) -> None:
    """Add the short options for keys that are often changed, for the list of `--set`."""
    for name, key in SHORTCUTS.items():
        parser.add_argument(
            f"--{name}", dest="set", action=_Shortcut, type=TYPES.get(name, str), metavar=name.upper(),
            help=f"short for --set {key}={name.upper()}",
        )  # fmt: skip


class _Shortcut(argparse.Action):
    """Add an override of one key to the list of `--set`."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        name = self.option_strings[0].removeprefix("--")
        namespace.set = [*namespace.set, Override(SHORTCUTS[name], values, f"--{name}")]


def _override(text: str) -> Override:
    try:
        return Override.of(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--set: ")) from None


def output(
    parser: argparse.ArgumentParser, help: str, metavar: str = "DIR", required: bool = False, default: Path | None = None
) -> None:
    """Add `-o`: where the command writes."""
    parser.add_argument("-o", "--output", metavar=metavar, type=Path, required=required, default=default, help=help)


def save_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--save-dir`."""
    parser.add_argument("--save-dir", metavar="DIR", type=Path, default=Path("saved"), help="folder of runs (default: saved)")


def verbosity(parser: argparse.ArgumentParser) -> None:
    """Add `--verbosity`."""
    parser.add_argument("--verbosity", metavar="N", type=int, default=2, help="2 with progress bars (default), 1 without")
