"""The command `train`: check the config, find the run to resume or make a new run, train."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from base.saved.door import AUTO, SAVED, CheckpointFile, FoldGroup, Run, StageGroup, find, newest_fitting, runs
from base.saved.group import FOLDS, STAGES
from base.saved.names import CONFIG
from base.saved.run_folder import RunFolder
from trainer.experiment import build, resuming, stages
from trainer.experiment.build import Experiment
from trainer.experiment.group import Member
from trainer.runs import folds, group
from trainer.runs.run import Start, load, train
from utils import config, device, distributed
from utils.config import RawConfig
from utils.errors import UserError


def read_config(args: argparse.Namespace) -> RawConfig:
    """Return the config of the command line, with its overrides; the overrides of stages are applied to the stages later."""
    raw = config.read(args.config)
    return raw if stages.is_staged(raw) else config.read(args.config, args.set)


def members_of(args: argparse.Namespace, raw: RawConfig) -> list[Member]:
    """Return the runs of a config with stages, or with several folds asked for; an empty list for a single run."""
    singles = stages.members(raw, args.set) if stages.is_staged(raw) else []
    if args.folds is None:
        return singles
    return folds.members(singles or [Member("", raw)], args.folds)


def check_only(args: argparse.Namespace) -> int:
    """Print a line for each correct config; return the exit status. Raises ConfigError with all problems of the config."""
    raw = read_config(args)
    checked = [member.raw for member in members_of(args, raw)] or [raw]
    say_ok(map(build.check, checked))
    gc.freeze()  # Python would look through all objects at its end, for about as long as the check itself takes
    return 0


def say_ok(experiments: Iterable[Experiment]) -> None:
    """Print a line for each correct config."""
    for experiment in experiments:
        parts = f"{experiment.config.arch.type}, {experiment.config.data_loader.type}, {experiment.hash[:8]}"
        print(f"{experiment.raw.file}: ok ({parts})")


def launch(args: argparse.Namespace) -> int:
    """Train a new run, or resume a run; return the exit status."""
    raw = read_config(args) if args.config else None
    members = members_of(args, raw) if raw is not None else []
    if raw is not None and not members:
        build.check(raw)
    chosen = device.select(args.device)
    with distributed.joined(chosen.type):
        if raw is not None and members:
            return _launch_group(args, str(raw.values["name"]), members, chosen)
        return _launch_one(args, raw, chosen)


def _launch_group(args: argparse.Namespace, name: str, members: list[Member], chosen: torch.device) -> int:
    if args.folds is None:
        return group.train(args, name, STAGES, members, chosen)
    verbosity = build.check(members[0].raw).config.trainer.verbosity
    return group.train(args, name, FOLDS, members, chosen, lambda found: folds.conclude(found, chosen, verbosity))


def _launch_one(args: argparse.Namespace, raw: RawConfig | None, chosen: torch.device) -> int:
    path, notes = distributed.on_main(lambda: _to_resume(args.resume, raw))
    start = load(path) if path else Start(None, {}, [])
    raw = raw or _stored_config(args, start.state, str(path))
    return train(raw, start._replace(notes=[*notes, *start.notes]), chosen).status


# Going on -----------------------------------------------------------------------------------------------------------


def _to_resume(given: str | None, raw: RawConfig | None) -> tuple[Path | None, list[str]]:
    """Return the run's folder or the checkpoint to resume from (None for a new run), and notes for the user.

    Raises UserError if there is no run to resume, or it does not fit the config.
    """
    if given is None:
        return None, []
    save_dir = Path(str(raw.values.get("trainer", {}).get("save_dir", SAVED))) if raw else SAVED
    name = str(raw.values.get("name")) if raw else None
    if given == AUTO:
        assert raw is not None
        return newest_fitting(runs(save_dir, name), lambda folder: _require_fitting(folder, raw))
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


def _require_fitting(folder: Path, raw: RawConfig) -> None:
    """Raise UserError if another process trains the run, or if its config differs in more than how it is run."""
    _require_free(folder)
    stored = build.check(config.read(folder / CONFIG))
    resuming.require_resumable(stored.config, build.check(raw).config, raw.file, resuming.WITH_ITS_START)


def _stored_config(args: argparse.Namespace, state: dict[str, Any], file: str) -> RawConfig:
    """Return the checkpoint's config with the command line's overrides, for a command line without a config file."""
    return config.from_values(state["config"], file, args.set)
