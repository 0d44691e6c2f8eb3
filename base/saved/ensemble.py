"""Read and write the record of an ensemble: its members, their fitted weights, and the values fitted for the whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.saved.names import ENSEMBLE
from base.saved.record import damaged, read_record
from utils import files

ADVICE = "fit it again with python laurel.py ensemble"
LARGEST = 1e300  # the largest weight or score; excludes NaN and infinity


@dataclass(frozen=True)
class Share:
    """A member's part in an ensemble.

    path: the run, group, ensemble or checkpoint. weight: at least 0; the weights of all members add up to 1. alone: the score
    of the member by itself. checkpoints: SHA-256 of the weights of the member's checkpoints for which the weight was fitted.
    """

    path: Path
    weight: float
    alone: float
    checkpoints: list[str]


@dataclass(frozen=True)
class EnsembleRecord:
    """The content of `<folder>/ensemble.json`.

    monitor: the score for which the weights were fitted, such as `max f1`. score: its value. method: the method of fitting.
    fitted: metric -> the values that it fitted on the joined predictions.
    """

    shares: list[Share]
    monitor: str
    score: float
    method: str
    fitted: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write the record into a folder, with the members' paths relative to it. Raises WriteError if it cannot be written."""
        members = [
            {
                "path": os.path.relpath(share.path.absolute(), folder.absolute()),
                "weight": share.weight,
                "alone": share.alone,
                "checkpoints": share.checkpoints,
            }
            for share in self.shares
        ]
        content = {"members": members, "monitor": self.monitor, "score": self.score, "method": self.method, "fitted": self.fitted}
        files.write_json(folder / ENSEMBLE, content)

    @classmethod
    def read(cls, folder: Path) -> EnsembleRecord:
        """Return the record in a folder. Raises UserError if it is missing or damaged."""
        path = folder / ENSEMBLE
        content = read_record(path, ADVICE)
        for key, kind in _KINDS.items():
            if not _is(content.get(key), kind):
                raise damaged(path, f"{key} is missing, or no {kind.__name__}", ADVICE)
        members = content["members"]
        if not all(map(_is_member, members)) or not any(entry["weight"] for entry in members):
            reason = "members: allowed: objects with path, weight, alone and checkpoints, one weight at least above 0"
            raise damaged(path, reason, ADVICE)
        shares = [_share(folder, entry) for entry in members]
        return cls(shares, content["monitor"], float(content["score"]), content["method"], content["fitted"])


_KINDS: Mapping[str, type] = {"members": list, "monitor": str, "score": float, "method": str, "fitted": dict}


def _share(folder: Path, entry: Mapping[str, Any]) -> Share:
    path = Path(os.path.normpath(folder / entry["path"]))
    return Share(path, float(entry["weight"]), float(entry["alone"]), list(entry["checkpoints"]))


def _is_member(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("path"), str)
        and _is(entry.get("weight"), float)
        and entry["weight"] >= 0
        and _is(entry.get("alone"), float)
        and _are_texts(entry.get("checkpoints"))
    )


def _is(value: Any, kind: type) -> bool:
    """Return whether a value is of a kind; `float` means any number between -LARGEST and LARGEST."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    return isinstance(value, kind)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
