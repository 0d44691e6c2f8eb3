"""What train.py does: check the config, find the run to go on with or make a new one, train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch

from base.run_folder import RunFolder, runs
from trainer import build, resuming
from utils import config, device, distributed, files
from utils.config import RawConfig
from utils.errors import UserError

SOURCE = "source.json"


def read_config(args: argparse.Namespace) -> RawConfig:
    """The config of the command line, with its overrides."""
    return config.read(args.config, args.set, args.lr, args.bs)


def check_only(args: argparse.Namespace) -> int:
    """Report what is wrong with the config, or that nothing is."""
    experiment = build.check(read_config(args))
    print(f"{args.config}: ok ({experiment.config.arch.type}, {experiment.config.data_loader.type}, {experiment.hash[:8]})")
    return 0


def launch(args: argparse.Namespace) -> int:
    """Train, or go on training. Returns the exit status."""
    raw = read_config(args) if args.config else None
    if raw is not None:
        build.check(raw)
    chosen = device.select(args.device)
    distributed.initialise(chosen.type)
    try:
        with distributed.explaining():
            return _train(args, raw, chosen)
    finally:
        distributed.finish()


def _train(args: argparse.Namespace, raw: RawConfig | None, chosen: torch.device) -> int:
    path, notes = distributed.on_main(lambda: _to_resume(args.resume, raw))
    start = _load(path) if path else Start(None, {}, [])
    folder, state = start.folder, start.state
    raw = raw or _stored_config(args, state, str(path))
    experiment = build.check(raw)
    loader = build.build_loader(experiment, chosen)
    if state:
        stored = build.check(config.from_values(state["config"], str(path)))
        resuming.require_resumable(stored.config, experiment.config, raw.file)
        _require_same_split(state, loader.split_hash, raw.file)
    if folder is not None:
        folder.claim()
    _say(experiment, [*notes, *start.notes, *loader.report()])
    settings = experiment.config.trainer
    folder = folder or RunFolder.create(Path(settings.save_dir), experiment.config.name)
    trainer = build.build_trainer(experiment, loader, folder, chosen)
    if distributed.is_main():
        files.write_json(folder.models / "config.json", raw.values)
        files.write_json(folder.models / SOURCE, loader.source())
    if state:
        trainer.load_state_dict(state)
    if start.folder is None:
        trainer.monitor.forget()
    return trainer.fit()


# Going on -----------------------------------------------------------------------------------------------------------


class Start(NamedTuple):
    """Where a run begins: its folder (None for a new one), a checkpoint's state (empty without one), lines for the user."""

    folder: RunFolder | None
    state: dict[str, Any]
    notes: list[str]


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
    if _run_of(path).busy:
        raise UserError(f"{path}: another process is training this run; stop it first, or start a new run without -r")
    return path


def _unfinished(folder: Path) -> bool:
    """Whether a run has not come to its end, and is nobody's."""
    run = RunFolder.at(folder)
    return run.status not in ("finished", "early stop") and not run.busy


def _difference(folder: Path, raw: RawConfig) -> str | None:
    """Why a run is not one of this config, None if it is but for how it is run."""
    try:
        stored = build.check(config.read(folder / "config.json"))
        resuming.require_resumable(stored.config, build.check(raw).config, raw.file)
    except UserError as error:
        return str(error).splitlines()[0]
    return None


def _run_of(path: Path) -> RunFolder:
    return RunFolder.at(path if path.is_dir() else path.parent)


def _load(path: Path) -> Start:
    """The run, the checkpoint named or the newest whole one, and a warning where others are damaged.

    From a checkpoint that has newer ones beside it a new run begins, with a best of its own: the folder would hold two
    histories.
    """
    folder = _run_of(path)
    if path.is_dir():
        _, state, warnings = folder.checkpoints.load_newest()
        return Start(folder, state, warnings)
    state = folder.checkpoints.load(path.name)
    if folder.checkpoints.newest_step() > state["progress"]["step"]:
        return Start(None, state, [f"a new run: {path} has newer checkpoints beside it, which stay as they are"])
    return Start(folder, state, [])


def _stored_config(args: argparse.Namespace, state: dict[str, Any], file: str) -> RawConfig:
    """The checkpoint's config with the command line's overrides, where no file is given."""
    shortcuts = [f"{config.SHORTCUTS[name]}={value}" for name in ("lr", "bs") if (value := getattr(args, name)) is not None]
    return config.from_values(state["config"], file, [*shortcuts, *args.set])


def _require_same_split(state: dict[str, Any], split_hash: str, file: str) -> None:
    if state["split_hash"] != split_hash:
        raise UserError(
            f"{file}: data_loader: the samples or their split are not those of the checkpoint ({state['split_hash'][:8]}, now "
            f"{split_hash[:8]}); the data have changed: bring them back, or start a new run without -r"
        )


def _say(experiment: build.Experiment, lines: list[str]) -> None:
    if distributed.is_main() and experiment.config.trainer.verbosity > 0:
        for line in lines:
            print(line, flush=True)
