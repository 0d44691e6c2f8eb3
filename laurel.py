"""The front door of Laurel, for the command line and for programs.

Commands: `python laurel.py COMMAND …`, or `laurel COMMAND …` after `pip install -e .`; without a command it lists them all.

    import laurel
    run = laurel.train("configs/masks.json", epochs=3, set={"optimizer.args.lr": 1e-3})
    run.folder, run.best, run.scores
    model = laurel.load(run)
    model.predict(["a.jpg", pixels])        # a table with class names; model.embed(…) and model.compare(a, b) for faces
    laurel.evaluate(run, split="valid")     # score -> value
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

TYPE_CHECKING = False  # mypy takes it as true; typing itself takes a fifth of the time of `laurel.py --help`
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pandas as pd

    from inspection.model import Model
    from inspection.runs import Run
    from utils.config import Given, Override

HERE = os.path.dirname(os.path.abspath(__file__))

# Command -> its module, which has `add_arguments(parser)` and `main(args) -> exit status`, and its description. A module
# imports slow packages inside `main`. A command in a task's folder is available as long as the folder exists.
COMMANDS = {
    "init": ("commands.init", "look at a folder or a file of annotations, and write a config that trains on it"),
    "check": ("commands.check", "check a config and look at all of its data"),
    "train": ("commands.train", "train what a config describes, or go on with a run"),
    "test": ("commands.test", "predict a split with a checkpoint, score it, write the submission"),
    "predict": ("commands.predict", "predict pictures of your own, as a table"),
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


def _overview() -> str:
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
        print(_overview())
        return
    from utils.errors import run

    run(main)


# For programs: nothing is imported before it is needed -------------------------------------------------------------------


def check(config: Given, *, set: Mapping[str, Any] | None = None) -> None:
    """Check a config, or the configs of its stages; touch no data. Raises UserError with a line for each problem.

    config: its file, or its values as a dictionary. set: values in place of the config's, by dotted key.
    """
    from trainer.runs.launch import plan, require_runnable

    require_runnable(plan(config, _overrides(set)).experiments)


def train(
    config: Given | None = None,
    *,
    resume: str | Path | Run | None = None,
    folds: str | Sequence[int] | None = None,
    device: str | None = None,
    lr: float | None = None,
    bs: int | None = None,
    epochs: int | None = None,
    name: str | None = None,
    data: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
) -> Run:
    """Train what a config describes, or go on with a run; return the run: its `folder`, `status`, `best` and `scores`.

    config: its file, or its values as a dictionary; None to go on with `resume` by its own config. resume, folds, device and
    the short changes `lr` to `data` are the options of `train.py`. set: values in place of the config's, by dotted key.
    Raises UserError. A run that Ctrl-C or a signal stopped is returned too: its status is not `finished`.
    """
    from inspection.runs import run_at
    from trainer.runs.launch import launch, plan
    from utils.errors import UserError

    if config is None and resume is None:
        raise UserError("train: give a config, or a run to go on with (resume)")
    changes = _overrides(set, lr=lr, bs=bs, epochs=epochs, name=name, data=data)
    numbers = folds if folds is None or isinstance(folds, str) else ",".join(map(str, folds))
    planned = None if config is None else plan(config, changes, numbers)
    return run_at(launch(planned, None if resume is None else _path(resume), device, changes).folder)


def load(what: str | Path | Run, *, device: str | None = None, set: Mapping[str, Any] | None = None) -> Model:
    """Return a trained model: that of a checkpoint, an exported file or a run, given by path or name; `last` is the newest run.

    device: as for `train.py`. set: values in place of those of its config, by dotted key. Raises UserError.
    """
    from base.saved.door import find, model_file
    from inspection.model import Model
    from trainer.evaluation.pictures import PictureModel
    from utils import device as devices

    return Model(PictureModel.open(model_file(find(_path(what))), devices.select(device), _overrides(set)))


def evaluate(
    what: str | Path | Run,
    split: str = "valid",
    *,
    output: str | Path | None = None,
    device: str | None = None,
    set: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Predict a split (`valid` or `test`) as `test.py` does, and return the scores by name; none if the split has no labels.

    what: a run, group of folds, ensemble or checkpoint. output: folder for the files, by default one in the run's log.
    Raises UserError.
    """
    from pathlib import Path

    from base.saved.door import find
    from trainer.evaluation.testing import run_test
    from utils import device as devices

    place = None if output is None else Path(output)
    return run_test([find(_path(what))], devices.select(device), split=split, output=place, overrides=_overrides(set))


def runs(save_dir: str | Path = "saved") -> pd.DataFrame:
    """Return a table of all runs, groups of folds and ensembles with their state, best score and size, newest first."""
    from pathlib import Path

    from inspection.runs import all_runs, overview

    return overview(all_runs(Path(save_dir)))


def _path(what: str | Path | Run) -> str | Path:
    from inspection.runs import Run

    return what.folder if isinstance(what, Run) else what


def _overrides(values: Mapping[str, Any] | None, **short: Any) -> list[Override]:
    """Return the short changes that are given, and then the values by key, as overrides."""
    from utils.config import SHORTCUTS, Override

    given = [Override(SHORTCUTS[name], value, name) for name, value in short.items() if value is not None]
    return [*given, *(Override(key, value, "set") for key, value in (values or {}).items())]


if __name__ == "__main__":
    script()
