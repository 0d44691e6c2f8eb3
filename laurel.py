"""Every command of Laurel: `python laurel.py COMMAND …`, or `laurel COMMAND …` after `pip install -e .`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

HERE = os.path.dirname(os.path.abspath(__file__))

# Command -> its module, which has `add_arguments(parser)` and `main(args) -> exit status`, and its description. A module
# imports slow packages inside `main`. A command in a task's folder is available as long as the folder exists.
COMMANDS = {
    "check": ("commands.check", "check a config and look at all of its data"),
    "train": ("commands.train", "train what a config describes, or go on with a run"),
    "test": ("commands.test", "predict a split with a checkpoint, score it, write the submission"),
    "compare": ("commands.compare", "is B better than A?"),
    "ensemble": ("commands.ensemble", "fit the weights with which runs or groups predict as one"),
    "folds": ("commands.folds", "join folds that were trained apart into a group"),
    "runs": ("commands.runs", "list the runs with their state, best score and size"),
    "find-lr": ("commands.find_lr", "raise the learning rate until the loss explodes, and suggest one"),
    "search": ("inspection.verification.search", "find the pictures of a gallery that are most like one"),
    "export": ("commands.export", "write a trained model as one file for other programs"),
    "bundle": ("commands.bundle", "pack code, weights and submission into a zip for handing in"),
    "crop": ("commands.crop", "find what every picture is cut to, and write the boxes"),
    "convert": ("data_loader.detection.convert", "rewrite box annotations in another format"),
    "balance": ("data_loader.detection.balance", "write the annotations of a balanced subset"),
    "sort": ("data_loader.verification.sort", "copy pictures into a folder for each person"),
    "groups": ("commands.groups", "find pictures that show nearly the same, so that a split keeps them together"),
    "lint": ("commands.lint", "look at a submission file before it is handed in"),
    "app": ("commands.app", "look at runs and predictions in a browser"),
    "synthesize": ("commands.synthesize", "write a data set of synthetic portraits"),
    "new-project": ("project.new", "start a project from this one, with all tasks or some"),
    "update": ("project.update", "merge a later version of the template into this project"),
    "schema": ("commands.schema", "write configs/schema.json and docs/config.md anew"),
}


def available() -> list[str]:
    """Return the names of the commands whose module files exist."""
    return [name for name, (module, _) in COMMANDS.items() if os.path.exists(os.path.join(HERE, *module.split(".")) + ".py")]


def command(name: str, words: Sequence[str]) -> int:
    """Run a command with the words that follow it on the command line; return its exit status.

    Raises UserError if the command refuses its input.
    """
    from importlib import import_module

    from utils.options import Parser

    module = import_module(COMMANDS[name][0])
    script = os.path.basename(sys.argv[0])
    parser = Parser(prog=script if script == f"{name}.py" else f"{script} {name}", description=module.__doc__)
    module.add_arguments(parser)
    status: int = module.main(parser.parse_args(list(words)))
    return status


def overview() -> str:
    """Return the text of `laurel.py --help`: the list of commands."""
    lines = [f"  {name:<12}{COMMANDS[name][1]}" for name in available()]
    return "\n".join(["usage: laurel.py COMMAND …; laurel.py COMMAND --help lists its options", "", *lines])


def main() -> int:
    """Run the command that the command line names. Raises UserError if there is no such command."""
    from utils.config import did_you_mean
    from utils.errors import UserError

    name, *words = sys.argv[1:]
    names = available()
    if name not in names:
        raise UserError(f"{name}: unknown command{did_you_mean(name, names)}; allowed: {', '.join(names)}")
    return command(name, words)


def script() -> None:
    """Run the command line and exit. The list of commands is printed before any slow import."""
    if sys.argv[1:2] in ([], ["-h"], ["--help"]):
        print(overview())
        return
    from utils.errors import run

    run(main)


if __name__ == "__main__":
    script()
