"""Train the runs of a group in order. Each is an ordinary run; a killed group continues with the unfinished runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import torch

from base.saved.door import AUTO, NEWEST, FoldGroup, StageGroup, find, groups, newest_fitting
from base.saved.group import Group
from base.saved.run_folder import DONE, RunFolder
from logger.lines import say
from trainer.experiment.checking import Experiment
from trainer.experiment.group import Member, create_group, plain_selection, require_same_members
from trainer.experiment.init_from import InitFrom
from trainer.runs import run
from utils import distributed
from utils.checkpoint_names import BEST, LAST
from utils.errors import UserError


def train(
    name: str, kind: str, members: Sequence[Member], resume: str | Path | None, chosen: torch.device,
    conclude: Callable[[Group], None] = lambda group: None,
) -> run.Ended:  # fmt: skip
    """Train the unfinished runs in order; return the end of the first run that was stopped, else that of the group.

    conclude: called in the main process when all runs are finished; the group is done only after it.
    """
    save_dir = Path(members[0].experiment.config.trainer.save_dir)
    held: list[IO[bytes]] = []  # the group's lock, which the main process has to the end
    group = Group(distributed.on_main(lambda: _find_or_create(resume, save_dir, name, kind, members, held)))
    say(f"group {group.folder}")
    for member in members:
        models = group.run(member.name)
        if group.finished(member.name):
            say(f"{member.name}: finished before, {models}")
            continue
        say(f"{member.name}:")
        start = run.load(models) if models is not None and _has_checkpoint(models) else run.Start(None, {}, [])
        ended = run.train(_with_weights(member, group), start, chosen, partial(group.record, member.name))
        if status := ended.status or _interrupted(ended, member is members[-1]):
            return run.Ended(group.folder, status, ended.signal)
    if distributed.leave():
        conclude(group)
        RunFolder.at(group.folder).set_status(DONE)
    return run.Ended(group.folder, 0, None)


def _interrupted(ended: run.Ended, last: bool) -> int:
    """Return the exit status if a signal came too late to stop a member but must stop the group before the next member."""
    signals = distributed.broadcast_object(distributed.gather_objects(ended.signal))
    return 0 if last else next(filter(None, signals), 0)


def _has_checkpoint(models: Path) -> bool:
    """Return whether a run has a checkpoint: a recorded run that was killed at once has none."""
    return distributed.on_main(lambda: any(models.glob("*.pth")))


def _find_or_create(
    resume: str | Path | None, save_dir: Path, name: str, kind: str, members: Sequence[Member], held: list[IO[bytes]]
) -> Path:
    """Return the group to resume, or a new group; add its lock to `held`. Call it in the main process only."""
    group = _to_resume(resume, save_dir, name, members) or create_group(save_dir, name, kind, members)
    held.append(group.claim())
    return group.folder


def _to_resume(resume: str | Path | None, save_dir: Path, name: str, members: Sequence[Member]) -> Group | None:
    """Return the group to resume, None for a new group. Raises UserError if it is not a group, or has other members."""
    if resume is None:
        return None
    if resume not in (AUTO, NEWEST):
        saved = find(resume, save_dir, to_train=True)
        if not isinstance(saved, FoldGroup | StageGroup):
            raise UserError(f"{saved.path}: is {saved.noun}, and this trains a group of runs; give one, or leave -r out")
        require_same_members(saved.record, members)
        return saved.record
    folder, notes = newest_fitting(groups(save_dir, name), lambda folder: _require_fitting(Group(folder), members))
    for note in notes:
        say(note)
    if folder is None and resume == NEWEST:
        raise UserError(f"-r {NEWEST}: there is no unfinished group of this config in {save_dir / 'models' / name}")
    return None if folder is None else Group(folder)


def _require_fitting(group: Group, members: Sequence[Member]) -> None:
    """Raise UserError if another process trains the group, or if the group has other members."""
    group.claim().close()
    require_same_members(group, members)


def _with_weights(member: Member, group: Group) -> Experiment:
    """Return the member's experiment, with `init_from` set to the checkpoint of the member that it begins with."""
    if member.after is None or member.selection is None:
        return member.experiment
    before = group.run(member.after)
    assert before is not None, "members run in order"
    path = before / (BEST if member.which == "best" else LAST)
    init = {"checkpoint": str(path), **plain_selection(member.selection)}
    raw, checked = member.experiment.raw, member.experiment.config
    return Experiment(
        replace(raw, values={**raw.values, "init_from": init}), checked.model_copy(update={"init_from": InitFrom(**init)})
    )
