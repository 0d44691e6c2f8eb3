"""Check a config once, find the run to resume or make a new run, and train."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from base.saved.door import AUTO, SAVED, CheckpointFile, FoldGroup, Run, StageGroup, find, newest_fitting, runs
from base.saved.group import FOLDS, STAGES
from base.saved.names import CONFIG
from base.saved.run_folder import RunFolder
from trainer.experiment import changing, checking, resuming, stages
from trainer.experiment.checking import Experiment
from trainer.experiment.group import Member
from trainer.experiment.shapes import require_shapes
from trainer.runs import folds, group
from trainer.runs.run import Ended, Start, load, train
from utils import config, device, distributed
from utils.config import Given, Overrides
from utils.errors import UserError


@dataclass(frozen=True)
class Plan:
    """The runs that a config describes, checked.

    kind: of the group that its members are, None for a single run.
    """

    name: str
    kind: str | None
    members: Sequence[Member]

    @property
    def experiments(self) -> list[Experiment]:
        """The checked configs in the order in which they are trained."""
        return [member.experiment for member in self.members]


def plan(given: Given, overrides: Overrides = (), numbers: str | None = None) -> Plan:
    """Return the runs that a config describes; build nothing and touch no data. Raises ConfigError with all problems.

    numbers: of folds to train, `all` or numbers with commas between them, None for the fold of the config.
    """
    raw = config.read(given)
    if stages.is_staged(raw):
        members, kind = stages.members(raw, overrides), STAGES
        name = str(raw.values["name"])
    else:
        experiment = checking.check(changing.read(given, overrides))
        members, kind, name = [Member("", experiment)], None, str(experiment.config.name)
    return Plan(name, kind, members) if numbers is None else Plan(name, FOLDS, folds.members(members, numbers))


def require_runnable(experiments: Iterable[Experiment]) -> None:
    """Raise UserError, a line each, for experiments whose network cannot take its batches; touch no data."""
    problems: dict[str, None] = {}
    for experiment in experiments:
        try:
            require_shapes(experiment)
        except UserError as error:
            problems[f"{experiment.raw.file}: {error}"] = None
    if problems:
        raise UserError("\n".join(problems))


def say_ok(experiments: Iterable[Experiment]) -> None:
    """Print a line for each correct config, and for each test set that is not there."""
    for experiment in experiments:
        loader = experiment.config.data_loader
        parts = f"{experiment.config.arch.type}, {experiment.config.data_loader.type}, {experiment.hash[:8]}"
        print(f"{experiment.raw.file}: ok ({parts})")
        if (missing := loader.cls.absent(loader.args)) is not None:
            print(f"{experiment.raw.file}: {missing}")


def launch(
    planned: Plan | None, resume: str | Path | None = None, device_name: str | None = None, overrides: Overrides = ()
) -> Ended:
    """Train new runs, or resume them; return how that ended. Raises UserError.

    planned: None to resume a run by the config in its checkpoint, changed by the overrides. resume: what
    `base.saved.door.find` takes, or `auto`; None for a new run or group. device_name: as `device.select` takes it.
    """
    chosen = device.select(device_name)
    with distributed.joined(chosen.type):
        if planned is not None and planned.kind is not None:
            return _launch_group(planned, planned.kind, resume, chosen)
        return _launch_one(planned.experiments[0] if planned is not None else None, resume, overrides, chosen)


def _launch_group(planned: Plan, kind: str, resume: str | Path | None, chosen: torch.device) -> Ended:
    require_runnable(planned.experiments)  # also those that begin after hours
    if kind != FOLDS:
        return group.train(planned.name, kind, planned.members, resume, chosen)
    return group.train(
        planned.name, kind, planned.members, resume, chosen, lambda record: folds.conclude(record, planned.members, chosen)
    )


def _launch_one(experiment: Experiment | None, resume: str | Path | None, overrides: Overrides, chosen: torch.device) -> Ended:
    path, notes = distributed.on_main(lambda: _to_resume(resume, experiment))
    start = load(path) if path else Start(None, {}, [])
    if experiment is None:
        experiment = checking.check(changing.from_values(start.state["config"], str(path), overrides))
    return train(experiment, start._replace(notes=[*notes, *start.notes]), chosen)


# Going on -----------------------------------------------------------------------------------------------------------


def _to_resume(given: str | Path | None, experiment: Experiment | None) -> tuple[Path | None, list[str]]:
    """Return the run's folder or the checkpoint to resume from (None for a new run), and notes for the user. Raises UserError."""
    if given is None:
        return None, []
    save_dir = Path(experiment.config.trainer.save_dir) if experiment is not None else SAVED
    name = str(experiment.config.name) if experiment is not None else None
    if given == AUTO:
        if experiment is None:
            raise UserError(f"-r {AUTO}: looks for a run of a config; give one")
        return newest_fitting(runs(save_dir, name), lambda folder: _require_fitting(folder, experiment))
    saved = find(given, save_dir, name=name, to_train=True)
    if isinstance(saved, FoldGroup | StageGroup):
        raise UserError(f"{saved.path}: is {saved.noun}; go on with it by -c and its config, with --folds for folds")
    if not isinstance(saved, Run | CheckpointFile):
        raise UserError(f"{saved.path}: is {saved.noun}; training goes on with a run or one of its checkpoints")
    _require_free(saved.path)
    return saved.path, []


def _require_free(path: Path) -> None:
    if RunFolder.of(path).busy:
        raise UserError(f"{path}: another process is training this run; stop it first, or start a new run without -r")


def _require_fitting(folder: Path, experiment: Experiment) -> None:
    """Raise UserError if another process trains the run, or if its config differs in more than how it is run."""
    _require_free(folder)
    resuming.require_resumable(config.read(folder / CONFIG).values, str(folder / CONFIG), experiment, resuming.WITH_ITS_START)
