"""Runs that belong together: in order, each an ordinary run, continued as one after any kill."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch

from base.run_folder import FINISHED, FOLDS, GROUP, RunFolder
from trainer import build, resuming, run
from trainer.init_from import Selection
from utils import checkpoint, config, distributed, files
from utils.config import RawConfig
from utils.errors import UserError

LOCK = ".lock"
DONE = FINISHED[0]


@dataclass(frozen=True)
class Member:
    """One run of a group."""

    name: str
    raw: RawConfig  # its whole config, checked
    after: str | None = None  # the member whose weights it begins with
    which: str = "best"  # of that member's checkpoints
    selection: Selection | None = None  # of those weights

    def start(self) -> dict[str, Any]:
        """What it begins with, as plain values."""
        return {"after": self.after, "which": self.which, **_plain(self.selection or Selection())}


class Group:
    """`saved/models/<name>/<id>/group.json`: the members, their configs, and the run of each that has begun.

    Raises UserError where the file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            content = json.loads((self.folder / GROUP).read_text(encoding="utf-8"))
            self.kind, self.members = str(content["kind"]), dict(content["members"])
            self.runs: dict[str, str | None] = {name: member["run"] for name, member in self.members.items()}
        except OSError as error:
            raise UserError(f"{folder}: is no group of runs ({GROUP}: {error.strerror}); give one, or leave -r out") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{folder / GROUP}: is damaged; start a new group without -r") from None

    @classmethod
    def create(cls, save_dir: Path, name: str, kind: str, members: Sequence[Member]) -> Group:
        """A new one, none of whose runs has begun. The main process alone."""
        parent = save_dir / "models" / name
        folder = parent / files.make_run_id(parent)
        entries = {member.name: {"config": member.raw.values, "start": member.start(), "run": None} for member in members}
        files.write_json(folder / GROUP, {"kind": kind, "members": entries})
        return cls(folder)

    def run(self, name: str) -> Path | None:
        """The models folder of a member's run, None before it has begun."""
        begun = self.runs[name]
        return None if begun is None else Path(os.path.normpath(self.folder / begun))

    def required_run(self, name: str) -> Path:
        """The models folder of a member's run. Raises UserError where it has not begun."""
        models = self.run(name)
        if models is None:
            raise UserError(f"{self.folder}: {name} has not begun; train the group first")
        return models

    def finals(self) -> list[str]:
        """Of members that follow each other, as A/ONE and A/TWO do, the last; in order."""
        return list({name.partition("/")[0]: name for name in self.members}.values())

    def record(self, name: str, models: Path) -> None:
        """A member's run has begun. The main process alone writes it."""
        self.runs[name] = self.members[name]["run"] = os.path.relpath(models.absolute(), self.folder)
        if distributed.is_main():
            files.write_json(self.folder / GROUP, {"kind": self.kind, "members": self.members})

    def finished(self, name: str) -> bool:
        """Whether a member's run has come to its end."""
        models = self.run(name)
        return models is not None and RunFolder.at(models).status in FINISHED

    @property
    def done(self) -> bool:
        """Whether all of it has come to its end; groups of folds have a conclusion besides."""
        concluded = self.kind != FOLDS or RunFolder.at(self.folder).status == DONE
        return concluded and all(map(self.finished, self.members))

    def claim(self) -> IO[bytes]:
        """Make the group this process's own until the returned file is closed. Raises UserError where it is another's."""
        held = files.lock(self.folder / LOCK)
        if held is None:
            raise UserError(
                f"{self.folder}: another process is training this group; stop it first, or start a new one without -r"
            )
        files.remove_temporaries(self.folder)
        return held

    def require_same(self, members: Sequence[Member]) -> None:
        """Raise UserError unless these are its members, with their configs, but for how they are run."""
        if list(self.members) != [member.name for member in members]:
            raise UserError(f"{self.folder}: has the members {', '.join(self.members)}")
        for member in members:
            entry = self.members[member.name]
            if entry.get("start") != member.start():
                raise UserError(f"{member.name} begins with other weights than in {self.folder}")
            stored = build.check(config.from_values(entry["config"], str(self.folder / GROUP)))
            resuming.require_resumable(stored.config, build.check(member.raw).config, member.raw.file, resuming.WITH_ITS_START)


def groups(save_dir: Path, name: str) -> list[Path]:
    """The folders of all groups of one name, the newest last."""
    return sorted((path.parent for path in (save_dir / "models" / name).glob(f"*/{GROUP}")), key=lambda folder: folder.name)


def final_run(path: Path) -> Path:
    """The run of a finished group's last member, which holds what all of them came to; any other path as it is.

    Raises UserError where a member is not finished, or where none is the last because they are the folds of a split.
    """
    if not (path / GROUP).exists():
        return path
    group = Group(path)
    if group.kind == FOLDS:
        raise UserError(f"{path}: is a group of folds, each with a model of its own; name one fold's run")
    for name in group.members:
        if not group.finished(name):
            raise UserError(f"{path}: {name} is not finished; go on with train.py -c CONFIG -r {path}, or name one run")
    return group.required_run(list(group.members)[-1])


def train(
    args: argparse.Namespace, name: str, kind: str, members: Sequence[Member], chosen: torch.device,
    conclude: Callable[[Group], None] = lambda group: None,
) -> int:  # fmt: skip
    """Train what is not finished, in order; the exit status of the first that was stopped, else 0.

    conclude: what follows when all are finished, in the main process alone; without it the group is not done.
    """
    save_dir = Path(str(build.check(members[0].raw).config.trainer.save_dir))
    held: list[IO[bytes]] = []  # the group's lock, which the main process has to the end
    group = Group(distributed.on_main(lambda: _find_or_create(args.resume, save_dir, name, kind, members, held)))
    run.say(f"group {group.folder}")
    for member in members:
        models = group.run(member.name)
        if group.finished(member.name):
            run.say(f"{member.name}: finished before, {models}")
            continue
        run.say(f"{member.name}:")
        start = run.load(models) if models is not None and _has_checkpoint(models) else run.Start(None, {}, [])
        ended = run.train(_with_weights(member, group), start, chosen, partial(group.record, member.name))
        if status := ended.status or _interrupted(ended, member is members[-1]):
            return status
    if distributed.leave():
        conclude(group)
        RunFolder.at(group.folder).set_status(DONE)
    return 0


def _interrupted(ended: run.Ended, last: bool) -> int:
    """The status to exit with where a signal came too late to stop a member, and early enough to stop the next."""
    signals = distributed.broadcast_object(distributed.gather_objects(ended.signal))
    return 0 if last else next(filter(None, signals), 0)


def _has_checkpoint(models: Path) -> bool:
    """Whether a run got as far as that; a kill right after it was recorded may have left it nothing."""
    return distributed.on_main(lambda: any(models.glob("*.pth")))


def _find_or_create(
    resume: str | None, save_dir: Path, name: str, kind: str, members: Sequence[Member], held: list[IO[bytes]]
) -> Path:
    """The group to go on with, or a new one; its lock is added to `held`. The main process alone."""
    group = _to_resume(resume, save_dir, name, members) or Group.create(save_dir, name, kind, members)
    held.append(group.claim())
    return group.folder


def _to_resume(resume: str | None, save_dir: Path, name: str, members: Sequence[Member]) -> Group | None:
    """The group named, or the newest of these members that is neither finished nor another process's; None for a new one."""
    if resume is None:
        return None
    if resume not in ("auto", "last"):
        group = Group(Path(resume))
        group.require_same(members)
        return group
    for folder in reversed(groups(save_dir, name)):
        try:
            group = Group(folder)
            if group.done:
                continue
            group.claim().close()
            group.require_same(members)
        except UserError as error:
            run.say(f"not going on with {folder}: {str(error).splitlines()[0]}")
            continue
        return group
    if resume == "last":
        raise UserError(f"-r last: there is no unfinished group of this config in {save_dir / 'models' / name}")
    return None


def _with_weights(member: Member, group: Group) -> RawConfig:
    """The member's config, beginning with the checkpoint of the run that came before it."""
    if member.after is None or member.selection is None:
        return member.raw
    before = group.run(member.after)
    assert before is not None, "members run in order"
    path = before / (checkpoint.BEST if member.which == "best" else checkpoint.LAST)
    init = {"checkpoint": str(path), **_plain(member.selection)}
    return config.from_values({**member.raw.values, "init_from": init}, member.raw.file)


def _plain(selection: Selection) -> dict[str, Any]:
    """As a config would say it; a subclass may say more."""
    return {name: getattr(selection, name) for name in Selection.model_fields}
