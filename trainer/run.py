"""One run from its beginning, new or in the middle, to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from base.run_folder import RunFolder
from trainer import build, resuming
from trainer.init_from import Report
from utils import config, distributed, files
from utils.config import RawConfig
from utils.errors import UserError

SOURCE = "source.json"


class Start(NamedTuple):
    """Where a run begins: its folder (None for a new one), a checkpoint's state (empty without one), lines for the user."""

    folder: RunFolder | None
    state: dict[str, Any]
    notes: list[str]


def load(path: Path) -> Start:
    """The run, the checkpoint named or the newest whole one, and a warning where others are damaged.

    From a checkpoint that has newer ones beside it a new run begins, with a best of its own: the folder would hold two
    histories.
    """
    folder = run_of(path)
    if path.is_dir():
        _, state, warnings = folder.checkpoints.load_newest()
        return Start(folder, state, warnings)
    state = folder.checkpoints.load(path.name)
    if folder.checkpoints.newest_step() > state["progress"]["step"]:
        return Start(None, state, [f"a new run: {path} has newer checkpoints beside it, which stay as they are"])
    return Start(folder, state, [])


def run_of(path: Path) -> RunFolder:
    """The run that a folder of models, or a checkpoint in one, belongs to."""
    return RunFolder.at(path if path.is_dir() else path.parent)


def train(raw: RawConfig, start: Start, chosen: torch.device, on_begin: Callable[[Path], None] = lambda models: None) -> int:
    """One run, from where it begins to its end or a signal; the exit status. on_begin: is told the run's models folder."""
    experiment = build.check(raw)
    loader = build.build_loader(experiment, chosen)
    if start.state:
        stored = build.check(config.from_values(start.state["config"], raw.file))
        resuming.require_resumable(stored.config, experiment.config, raw.file)
        _require_same_split(start.state, loader.split_hash, raw.file)
    if start.folder is not None:
        start.folder.claim()
    settings = experiment.config.trainer
    folder = start.folder or RunFolder.create(Path(settings.save_dir), experiment.config.name)
    on_begin(folder.models)
    trainer = build.build_trainer(experiment, loader, folder, chosen, fresh=not start.state)
    if settings.verbosity > 0:
        parents = [line for parent in trainer.metadata["parents"] for line in Report(**parent).lines()]
        say(*start.notes, *loader.report(), *parents)
    if distributed.is_main():
        files.write_json(folder.models / "config.json", raw.values)
        files.write_json(folder.models / SOURCE, loader.source())
    if start.state:
        trainer.load_state_dict(start.state)
    if start.folder is None:
        trainer.monitor.forget()
    return trainer.fit()


def say(*lines: str) -> None:
    """Lines for the user, from the main process."""
    if distributed.is_main():
        for line in lines:
            print(line, flush=True)


def _require_same_split(state: dict[str, Any], split_hash: str, file: str) -> None:
    if state["split_hash"] != split_hash:
        raise UserError(
            f"{file}: data_loader: the samples or their split are not those of the checkpoint ({state['split_hash'][:8]}, now "
            f"{split_hash[:8]}); the data have changed: bring them back, or start a new run without -r"
        )
