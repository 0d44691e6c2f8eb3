"""The runs of a group before training, and the comparison of them with a record on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.saved.group import Group
from base.saved.names import GROUP
from trainer.experiment import resuming
from trainer.experiment.checking import Experiment
from trainer.experiment.init_from import Selection
from utils.errors import UserError


@dataclass(frozen=True)
class Member:
    """One run of a group.

    experiment: its whole config, checked. after: the member whose weights it begins with, None for weights of its own. which: of
    that member's checkpoints, `best` or `last`. selection: of those weights.
    """

    name: str
    experiment: Experiment
    after: str | None = None
    which: str = "best"
    selection: Selection | None = None

    def start(self) -> dict[str, Any]:
        """Return the weights that the run begins with (member, file, selection) as plain values."""
        return {"after": self.after, "which": self.which, **plain_selection(self.selection or Selection())}


def create_group(save_dir: Path, name: str, kind: str, members: Sequence[Member]) -> Group:
    """Write the record of a new group, none of whose runs has begun. Call it in the main process alone."""
    entries = {member.name: {"config": member.experiment.raw.values, "start": member.start()} for member in members}
    return Group.create(save_dir, name, kind, entries)


def require_same_members(group: Group, members: Sequence[Member]) -> None:
    """Raise UserError unless a group's members are these, with their configs, but for how they are run."""
    if list(group.members) != [member.name for member in members]:
        raise UserError(f"{group.folder}: has the members {', '.join(group.members)}")
    for member in members:
        entry = group.members[member.name]
        if entry["start"] != member.start():
            raise UserError(f"{member.name} begins with other weights than in {group.folder}")
        resuming.require_resumable(entry["config"], str(group.folder / GROUP), member.experiment, resuming.WITH_ITS_START)


def plain_selection(selection: Selection) -> dict[str, Any]:
    """Return the keys and values of a selection in a config; keys of subclasses are left out."""
    return {name: getattr(selection, name) for name in Selection.model_fields}
