"""The record on disk of runs that belong together: its members, their configs, and the run of each."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from base.run_folder import FINISHED, FOLDS, GROUP, RunFolder
from trainer.experiment import build, resuming
from trainer.experiment.init_from import Selection
from utils import config, distributed, files
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
        return {"after": self.after, "which": self.which, **plain_selection(self.selection or Selection())}


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


def plain_selection(selection: Selection) -> dict[str, Any]:
    """As a config would say it; a subclass may say more."""
    return {name: getattr(selection, name) for name in Selection.model_fields}
