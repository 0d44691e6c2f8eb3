"""The only door from a name that the data, a config or the address bar gives to a file."""

from __future__ import annotations

from pathlib import Path

from utils.errors import UserError

MAX_NAME = 4096


def below(root: Path, *names: str) -> Path:
    """The file or folder `names` below `root`, links followed. Raises UserError where it would lie elsewhere."""
    try:
        if any("\0" in name or len(name) > MAX_NAME for name in names):
            raise ValueError
        place = root.resolve()
        path = place.joinpath(*names).resolve()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        raise UserError(f"{_shown(names)}: is no file name") from None
    if path == place or not path.is_relative_to(place):
        raise UserError(f"{_shown(names)}: is not below {root}; nothing outside is read or written")
    return path


def _shown(names: tuple[str, ...]) -> str:
    text = "/".join(names)
    return ascii(text[:80])[1:-1] + ("…" if len(text) > 80 else "")
