"""The sample file of a competition, which a submission fills in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.table import some
from data_loader.formats.names import NameIndex
from utils.errors import UserError


def meant_ids(ids: Sequence[str], samples: Iterable[str]) -> dict[str, str]:
    """Return for each id of a sample file the sample that it means: of this id, or of one in another case, ending or folder."""
    index = NameIndex(samples)
    found = {name: index.find(name).names for name in ids}
    return {name: names[0] if len(names) == 1 else name for name, names in found.items()}


def require_same(ids: Sequence[str], answers: Mapping[str, Any], sample: Path) -> None:
    """Raise UserError unless the ids of a sample file are exactly the ids of the answers, each once."""
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    missing, extra = [name for name in ids if name not in answers], sorted(set(answers) - set(ids))
    for names, what in ((twice, "listed twice"), (missing, "not predicted"), (extra, "predicted, but not asked for")):
        if names:
            raise UserError(f"{sample}: {len(names)} images are {what} ({some(names)}); nothing is written")
