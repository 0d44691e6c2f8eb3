"""Read and write the record of a group of runs: the stages or the folds of a config, their configs, and the run of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from base.saved.names import GROUP, LOCK
from base.saved.record import damaged, read_record
from base.saved.run_folder import RunFolder
from utils import files
from utils.errors import UserError

STAGES, FOLDS = "stages", "folds"  # kinds of group
_ADVICE = "start a new group without -r"


class Group:
    """The record `saved/models/<name>/<id>/group.json`: the members, their configs, and the runs of members that have begun.

    Raises UserError if the file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        content = read_record(self.folder / GROUP, _ADVICE)
        kind, members = content.get("kind"), content.get("members")
        if kind not in (STAGES, FOLDS):
            raise damaged(self.folder / GROUP, f"kind: allowed: {STAGES} or {FOLDS}", _ADVICE)
        if not isinstance(members, dict) or not members or not all(map(_is_entry, members.values())):
            raise damaged(self.folder / GROUP, "members: allowed: by name, objects with config, start and run", _ADVICE)
        self.kind: str = kind
        self.members: dict[str, dict[str, Any]] = members

    @classmethod
    def create(cls, save_dir: Path, name: str, kind: str, members: Mapping[str, Mapping[str, Any]]) -> Group:
        """Write a new record of members whose runs have not begun; return it. Call it in the main process only.

        members: name -> the whole config (`config`) and the start of the run (`start`).
        """
        parent = save_dir / "models" / name
        folder = parent / files.make_run_id(parent)
        entries = {member: {**values, "run": None} for member, values in members.items()}
        files.write_json(folder / GROUP, {"kind": kind, "members": entries})
        RunFolder.at(folder).begin()
        return cls(folder)

    def run(self, name: str) -> Path | None:
        """Return the models folder of a member's run, None before it has begun."""
        begun = self.members[name]["run"]
        return None if begun is None else Path(os.path.normpath(self.folder / begun))

    def required_run(self, name: str) -> Path:
        """Return the models folder of a member's run. Raises UserError if it has not begun."""
        models = self.run(name)
        if models is None:
            raise UserError(f"{self.folder}: {name} has not begun; train the group first")
        return models

    def finals(self) -> dict[str, str]:
        """Return the last member of each sequence, such as A/ONE, A/TWO, by the part of the name before the slash."""
        return {name.partition("/")[0]: name for name in self.members}

    def record(self, name: str, models: Path) -> None:
        """Record that a member's run has begun; only the main process writes."""
        from utils import distributed  # imports torch, which the app loads only when it needs a model

        self.members[name]["run"] = os.path.relpath(models.absolute(), self.folder)
        if distributed.is_main():
            files.write_json(self.folder / GROUP, {"kind": self.kind, "members": self.members})

    def finished(self, name: str) -> bool:
        """Return whether a member's run has come to its end."""
        models = self.run(name)
        return models is not None and RunFolder.at(models).finished

    @property
    def done(self) -> bool:
        """True if all members have come to their ends, and the results of the whole group are written."""
        return RunFolder.at(self.folder).finished and all(map(self.finished, self.members))

    def claim(self) -> IO[bytes]:
        """Lock the group until the returned file is closed. Raises UserError if another process has locked it."""
        held = files.lock(self.folder / LOCK)
        if held is None:
            raise UserError(
                f"{self.folder}: another process is training this group; stop it first, or start a new one without -r"
            )
        files.remove_temporaries(self.folder)
        return held


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("config"), dict)
        and isinstance(entry.get("start"), dict)
        and isinstance(entry.get("run", ...), str | None)
    )
