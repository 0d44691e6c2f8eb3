"""What train.py does: check the config, find the run to go on with or make a new one, train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from base.run_folder import RunFolder, runs
from trainer import build
from utils import checkpoint, config, device, distributed, files
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
    folder, state, warnings = _resumed(args)
    raw = _config(args, state, folder)
    experiment = build.check(raw)
    if state is not None and folder is not None:
        build.require_resumable(state["config"], raw.values, raw.file)
    chosen = device.select(args.device)
    distributed.initialise(chosen.type)
    try:
        loader = build.build_loader(experiment, chosen)
        _say(experiment, [*warnings, *loader.report()])
        if state is not None:
            _require_same_split(state, loader.split_hash, raw.file)
        new = folder is None
        folder = folder or RunFolder.create(Path(experiment.config.trainer.save_dir), experiment.config.name)
        trainer = build.build_trainer(experiment, loader, folder, chosen)
        if distributed.is_main():
            files.write_json(folder.models / "config.json", raw.values)
            files.write_json(folder.models / SOURCE, loader.source())
        if state is not None and not new:
            trainer.load_state_dict(state)
        return trainer.fit()
    finally:
        distributed.finish()


def _config(args: argparse.Namespace, state: dict[str, Any] | None, folder: RunFolder | None) -> RawConfig:
    """From the file given; without one, from the checkpoint."""
    if args.config:
        return read_config(args)
    assert state is not None and folder is not None
    shortcuts = [f"{config.SHORTCUTS[name]}={value}" for name in ("lr", "bs") if (value := getattr(args, name)) is not None]
    return config.from_values(state["config"], str(folder.models), [*shortcuts, *args.set])


def _resumed(args: argparse.Namespace) -> tuple[RunFolder | None, dict[str, Any] | None, list[str]]:
    """The run to go on with, its newest whole checkpoint, and warnings about damaged ones; nothing for a new run."""
    if args.resume is None:
        return None, None, []
    if args.resume not in ("auto", "last"):
        return _from_path(Path(args.resume))
    raw = read_config(args) if args.config else None
    save_dir = Path(raw.values.get("trainer", {}).get("save_dir", "saved")) if raw else Path("saved")
    found = runs(save_dir, str(raw.values.get("name")) if raw else None)
    if args.resume == "auto":
        found = [folder for folder in found if RunFolder.at(folder).status not in ("finished", "early stop")]
        assert raw is not None
        found = [folder for folder in found if _same_run(folder, raw.values)]
        if not found:
            return None, None, []
    elif not found:
        raise UserError(f"-r last: there is no run with a checkpoint in {save_dir / 'models'}")
    return _from_path(found[-1])


def _same_run(folder: Path, values: dict[str, Any]) -> bool:
    """Whether a run's config is this one, but for how it is run."""
    try:
        build.require_resumable(config.read(folder / "config.json").values, values, "")
    except UserError:
        return False
    return True


def _from_path(path: Path) -> tuple[RunFolder, dict[str, Any], list[str]]:
    if path.is_dir():
        folder = RunFolder.at(path)
        _, state, warnings = folder.checkpoints.load_newest()
        return folder, state, warnings
    if not path.exists():
        raise UserError(f"{path}: there is no such checkpoint")
    folder = RunFolder.at(path.parent)
    return folder, folder.checkpoints.load(path.name), []


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


__all__ = ["check_only", "checkpoint", "launch"]
