"""The names of the files in a folder of checkpoints, for programs that need no torch."""

from __future__ import annotations

MANIFEST = "manifest.json"
LAST, BEST = "last.pth", "best.pth"


def epoch_name(epoch: int) -> str:
    """Return the file name of the checkpoint that is kept after `epoch`, counted from 1."""
    return f"checkpoint-epoch{epoch}.pth"


def epoch_of(name: str) -> int | None:
    """Return the epoch, counted from 1, in a file name that `epoch_name` made; None for other names."""
    digits = name.removeprefix("checkpoint-epoch").removesuffix(".pth")
    return int(digits) if name == f"checkpoint-epoch{digits}.pth" and digits.isdigit() else None
