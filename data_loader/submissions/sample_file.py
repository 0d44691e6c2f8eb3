"""The sample file of a competition, which a submission fills in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from base.table import some
from utils.errors import UserError


def require_same(ids: Sequence[str], answers: Mapping[str, Any], sample: Path) -> None:
    """Raise UserError unless the ids of a sample file are exactly the ids of the answers, each once."""
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    missing, extra = [name for name in ids if name not in answers], sorted(set(answers) - set(ids))
    for names, what in ((twice, "listed twice"), (missing, "not predicted"), (extra, "predicted, but not asked for")):
        if names:
            raise UserError(f"{sample}: {len(names)} images are {what} ({some(names)}); nothing is written")
