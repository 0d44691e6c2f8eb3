"""The training of one run, new or resumed, to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from base.base_data_loader import BaseDataLoader
from base.base_trainer import BaseTrainer
from base.saved.names import CONFIG, SOURCE
from base.saved.run_folder import RunFolder
from logger.lines import say
from trainer.experiment import build, resuming
from trainer.experiment.blame import not_reproducible
from trainer.experiment.checking import Experiment
from trainer.experiment.init_from import Report
from trainer.experiment.rehearsal import rehearse
from utils import distributed, files
from utils.checkpoint_names import LAST
from utils.errors import RunError, UserError


class Start(NamedTuple):
    """The start of a run: its folder (None for a new run), a checkpoint's state (empty for a new run), lines for the user.

    checkpoint: the file of the state, None for a new run.
    """

    folder: RunFolder | None
    state: dict[str, Any]
    notes: list[str]
    checkpoint: Path | None = None


class Ended(NamedTuple):
    """The end of a run or group: its models folder, its exit status, and that of a signal that this process received."""

    folder: Path
    status: int
    signal: int | None


def load(path: Path) -> Start:
    """Return the start from the named checkpoint or a run's newest undamaged checkpoint, with a warning if others are damaged.

    From a checkpoint that is not known to be the newest of its run a new run begins, with a new best score: otherwise the
    run's folder would hold two histories.
    """
    folder = RunFolder.of(path)
    if path.is_dir():
        name, state, warnings = folder.checkpoints.load_newest()
        return Start(folder, state, warnings, path / name)
    state = folder.checkpoints.load(path.name)
    newest = path.name == LAST or folder.checkpoints.newest_step() == state["progress"]["step"]
    if newest and (folder.models / CONFIG).exists():
        return Start(folder, state, [], path)
    return Start(
        None, state, [f"a new run: {path} is not the newest checkpoint of a run; what is beside it stays as it is"], path
    )


def train(
    experiment: Experiment, start: Start, chosen: torch.device, on_begin: Callable[[Path], None] = lambda models: None
) -> Ended:
    """Train one run from its start until it ends or a signal stops it. on_begin: called with the run's models folder."""
    loader = build.build_loader(experiment, chosen)
    if start.state:
        resuming.require_resumable(start.state["config"], experiment.raw.file, experiment, weights=start.checkpoint)
        _require_same_data(start.state, loader, experiment.raw.file)
    settings = experiment.config.trainer
    asked = [f"warning: {line}" for line in build.submission_problems(experiment, loader)[:5]]
    lines = [*start.notes, *loader.report(), *asked]  # reads the data before a folder is made: wrong data leave no folder
    if start.folder is None:
        lines += [line for line in rehearse(experiment, loader, chosen) if line not in lines]
    folder = start.folder.claim() if start.folder else RunFolder.create(Path(settings.save_dir), experiment.config.name)
    on_begin(folder.models)
    with build.deterministic(settings.deterministic):
        trainer = _trainer(experiment, loader, folder, chosen, start)
        if settings.verbosity > 0:
            say(*lines, *(line for parent in trainer.metadata["parents"] for line in Report(**parent).lines()))
        if distributed.is_main():
            files.write_json(folder.models / CONFIG, experiment.raw.values)
            files.write_json(folder.models / SOURCE, {"split_hash": loader.split_hash, **loader.source()})
        return Ended(folder.models, _fit(trainer), trainer.stop.exit_status if trainer.stop.received else None)


def _trainer(
    experiment: Experiment, loader: BaseDataLoader, folder: RunFolder, chosen: torch.device, start: Start
) -> BaseTrainer:
    """Return the trainer in the state of the start. The checkpoint's state is then deleted, to free its memory."""
    try:
        trainer = build.build_trainer(experiment, loader, folder, chosen, fresh=not start.state)
    except UserError:
        folder.discard()
        raise
    if start.state:
        trainer.load_state_dict(start.state)
        start.state.clear()
    if start.folder is None:
        trainer.monitor.forget()
    return trainer


def _fit(trainer: BaseTrainer) -> int:
    """Train; return the exit status. Raises RunError, which names the operation, if `deterministic` forbids an operation."""
    try:
        return trainer.fit()
    except RuntimeError as error:
        line = not_reproducible(error)
        if not line:
            raise
        raise RunError(line) from error


def _require_same_data(state: dict[str, Any], loader: BaseDataLoader, file: str) -> None:
    stored, present = state["split_hash"], loader.split_hash
    if stored != present:
        raise UserError(
            f"{file}: data_loader: the samples or their split are not those of the checkpoint ({stored[:8]}, now "
            f"{present[:8]}); the data have changed: bring them back, or start a new run without -r"
        )
    before, now = state.get("fingerprint", {}), loader.fingerprint()
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, "nothing")[:8], now.get(key, "nothing")[:8]
        if old != new:
            raise UserError(
                f"{file}: {key}: what its file says is not what the checkpoint was trained with ({old}, now {new}); "
                "bring it back, or start a new run without -r"
            )
