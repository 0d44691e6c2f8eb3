"""Runs that belong together: in order, each an ordinary run, continued as one after any kill."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from base.run_folder import FINISHED, RunFolder
from trainer import build, resuming, run
from trainer.init_from import Selection
from utils import checkpoint, config, distributed, files
from utils.config import RawConfig
from utils.errors import UserError

FILE = "group.json"


@dataclass(frozen=True)
class Member:
    """One run of a group."""

    name: str
    raw: RawConfig  # its whole config, checked
    after: str | None = None  # the member whose weights it begins with
    which: str = "best"  # of that member's checkpoints
    selection: Selection | None = None  # of those weights


class Group:
    """`saved/models/<name>/<id>/group.json`: the members, their configs, and the run of each that has begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members: dict[str, dict[str, Any]] = json.loads((folder / FILE).read_text(encoding="utf-8"))["members"]

    @classmethod
    def create(cls, save_dir: Path, name: str, kind: str, members: Sequence[Member]) -> Group:
        """A new one, none of whose runs has begun. The main process alone."""
        parent = save_dir / "models" / name
        folder = parent / files.make_run_id(parent)
        entries = {member.name: {"config": member.raw.values, "run": None} for member in members}
        files.write_json(folder / FILE, {"kind": kind, "members": entries})
        return cls(folder)

    @property
    def kind(self) -> str:
        """What its members are to each other."""
        return str(json.loads((self.folder / FILE).read_text(encoding="utf-8"))["kind"])

    def run(self, name: str) -> Path | None:
        """The models folder of a member's run, None before it has begun."""
        begun = self.members[name]["run"]
        return None if begun is None else self.folder.parents[1] / begun

    def record(self, name: str, models: Path) -> None:
        """A member's run has begun. The main process alone writes it."""
        self.members[name]["run"] = f"{models.parent.name}/{models.name}"
        if distributed.is_main():
            files.write_json(self.folder / FILE, {"kind": self.kind, "members": self.members})

    def finished(self, name: str) -> bool:
        """Whether a member's run has come to its end."""
        models = self.run(name)
        return models is not None and RunFolder.at(models).status in FINISHED

    def require_same(self, members: Sequence[Member]) -> None:
        """Raise UserError unless these are its members, with their configs, but for how they are run."""
        if list(self.members) != [member.name for member in members]:
            raise UserError(f"{self.folder}: has the members {', '.join(self.members)}")
        for member in members:
            stored = build.check(config.from_values(self.members[member.name]["config"], str(self.folder / FILE)))
            resuming.require_resumable(stored.config, build.check(member.raw).config, member.raw.file)


def groups(save_dir: Path, name: str) -> list[Path]:
    """The folders of all groups of one name, the newest last."""
    return sorted((path.parent for path in (save_dir / "models" / name).glob(f"*/{FILE}")), key=lambda folder: folder.name)


def train(args: argparse.Namespace, name: str, kind: str, members: Sequence[Member], chosen: torch.device) -> int:
    """Train what is not finished, in order; the exit status of the first that was stopped, else 0."""
    save_dir = Path(str(build.check(members[0].raw).config.trainer.save_dir))
    group = Group(distributed.on_main(lambda: _find_or_create(args.resume, save_dir, name, kind, members)))
    run.say(f"group {group.folder}")
    for member in members:
        models = group.run(member.name)
        if group.finished(member.name):
            run.say(f"{member.name}: finished before, {models}")
            continue
        run.say(f"{member.name}:")
        start = run.load(models) if models is not None and _has_checkpoint(models) else run.Start(None, {}, [])
        status = run.train(_with_weights(member, group), start, chosen, partial(group.record, member.name))
        if status:
            return status
    return 0


def _has_checkpoint(models: Path) -> bool:
    """Whether a run got as far as that; a kill right after it was recorded may have left it nothing."""
    return distributed.on_main(lambda: any(models.glob("*.pth")))


def _find_or_create(resume: str | None, save_dir: Path, name: str, kind: str, members: Sequence[Member]) -> Path:
    if resume not in (None, "auto", "last"):
        folder = Path(str(resume))
        if not (folder / FILE).exists():
            raise UserError(f"{folder}: is no group of runs ({FILE} is not there); give one, or -r auto, or leave -r out")
        Group(folder).require_same(members)
        return folder
    for folder in reversed(groups(save_dir, name) if resume is not None else []):
        found = Group(folder)
        if all(map(found.finished, found.members)):
            continue
        try:
            found.require_same(members)
        except UserError as error:
            run.say(f"not going on with {folder}: {str(error).splitlines()[0]}")
            continue
        return folder
    if resume == "last":
        raise UserError(f"-r last: there is no unfinished group of this config in {save_dir / 'models' / name}")
    return Group.create(save_dir, name, kind, members).folder


def _with_weights(member: Member, group: Group) -> RawConfig:
    """The member's config, beginning with the checkpoint of the run that came before it."""
    if member.after is None or member.selection is None:
        return member.raw
    before = group.run(member.after)
    assert before is not None, "members run in order"
    path = before / (checkpoint.BEST if member.which == "best" else checkpoint.LAST)
    chosen = {name: getattr(member.selection, name) for name in Selection.model_fields}
    init = {"checkpoint": str(path), **chosen}
    return config.from_values({**member.raw.values, "init_from": init}, member.raw.file)
