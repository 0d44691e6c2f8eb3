"""What train.py does: check the config, find the run to go on with or make a new one, train."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

import torch

from base.run_folder import FINISHED, FOLDS, STAGES, RunFolder, runs
from trainer.experiment import build, resuming, stages
from trainer.experiment.group import Member
from trainer.runs import folds, group
from trainer.runs.run import Start, load, run_of, train
from utils import config, device, distributed
from utils.config import RawConfig
from utils.errors import UserError


def read_config(args: argparse.Namespace) -> RawConfig:
    """The config of the command line, with its overrides; those of stages are the stages' own."""
    raw = config.read(args.config)
    return raw if stages.is_staged(raw) else config.read(args.config, args.set, args.lr, args.bs)


def members_of(args: argparse.Namespace, raw: RawConfig) -> list[Member]:
    """The runs of a config that has stages, or of which several folds are asked for; none for a single run."""
    singles = stages.members(raw, args.set, args.lr, args.bs) if stages.is_staged(raw) else []
    if args.folds is None:
        return singles
    return folds.members(singles or [Member("", raw)], args.folds)


def check_only(args: argparse.Namespace) -> int:
    """Report what is wrong with the config, or that nothing is."""
    raw = read_config(args)
    checked = [member.raw for member in members_of(args, raw)] or [raw]
    for experiment in map(build.check, checked):
        parts = f"{experiment.config.arch.type}, {experiment.config.data_loader.type}, {experiment.hash[:8]}"
        print(f"{experiment.raw.file}: ok ({parts})")
    gc.freeze()  # Python would look through all objects at its end, for about as long as the check itself takes
    return 0


def launch(args: argparse.Namespace) -> int:
    """Train, or go on training. Returns the exit status."""
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
    """The run's folder or the checkpoint to go on with, None for a new run, and why it is a new one. Raises UserError."""
    if given is None:
        return None, []
    if given not in ("auto", "last"):
        return _not_busy(Path(given)), []
    save_dir = Path(str(raw.values.get("trainer", {}).get("save_dir", "saved"))) if raw else Path("saved")
    found = runs(save_dir, str(raw.values.get("name")) if raw else None)
    if given == "last" and not found:
        raise UserError(f"-r last: there is no run with a checkpoint in {save_dir / 'models'}")
    if given == "last":
        return _not_busy(found[-1]), []
    assert raw is not None
    unfinished = [folder for folder in reversed(found) if _unfinished(folder)]
    others = [(folder, _difference(folder, raw)) for folder in unfinished]
    chosen = next((folder for folder, difference in others if difference is None), None)
    return chosen, [f"a new run: {folder} is unfinished, but {difference}" for folder, difference in others if chosen is None]


def _not_busy(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: there is no such checkpoint")
    if run_of(path).busy:
        raise UserError(f"{path}: another process is training this run; stop it first, or start a new run without -r")
    return path


def _unfinished(folder: Path) -> bool:
    """Whether a run has not come to its end, and is nobody's."""
    run = RunFolder.at(folder)
    return run.status not in FINISHED and not run.busy


def _difference(folder: Path, raw: RawConfig) -> str | None:
    """Why a run is not one of this config, None if it is but for how it is run."""
    try:
        stored = build.check(config.read(folder / "config.json"))
        resuming.require_resumable(stored.config, build.check(raw).config, raw.file, resuming.WITH_ITS_START)
    except UserError as error:
        return str(error).splitlines()[0]
    return None


def _stored_config(args: argparse.Namespace, state: dict[str, Any], file: str) -> RawConfig:
    """The checkpoint's config with the command line's overrides, where no file is given."""
    shortcuts = [f"{config.SHORTCUTS[name]}={value}" for name in ("lr", "bs") if (value := getattr(args, name)) is not None]
    return config.from_values(state["config"], file, [*shortcuts, *args.set])
