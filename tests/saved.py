"""Runs, groups and ensembles on disk, of which nothing was trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from base.saved.ensemble import EnsembleRecord, Share
from utils import files


def write_run(saved: Path, label: str, status: str = "finished", *checkpoints: str, begun: float | None = None) -> Path:
    """Write a run with a best and a last checkpoint, or the given ones. begun: the recorded time, None for none."""
    folder = saved / "models" / label
    folder.mkdir(parents=True)
    files.write_json(folder / "config.json", {})
    files.write_json(folder / "status.json", {"status": status, "begun": begun})
    for name in checkpoints or ("best.pth", "last.pth"):
        (folder / name).touch()
    return folder


def write_group(saved: Path, label: str, kind: str, members: dict[str, Path | None], status: str = "finished") -> Path:
    """A group with the runs of its members, None for one that has not begun."""
    folder = saved / "models" / label
    folder.mkdir(parents=True)
    entries: dict[str, Any] = {}
    for name, run in members.items():
        entries[name] = {"config": {}, "start": {}, "run": None if run is None else os.path.relpath(run, folder)}
    files.write_json(folder / "group.json", {"kind": kind, "members": entries})
    files.write_json(folder / "status.json", {"status": status})
    return folder


def write_ensemble(folder: Path, *members: Path) -> Path:
    """An ensemble with equal weights and a score of 0.75."""
    folder.mkdir(parents=True, exist_ok=True)
    shares = [Share(member, 1 / len(members), 0.5, []) for member in members]
    EnsembleRecord(shares, "max f1", 0.75, "greedy", {}).write(folder)
    return folder
