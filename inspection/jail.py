"""The check of every file name that comes from the data, a config or the address bar: no file outside a folder is opened."""

from __future__ import annotations

from pathlib import Path

from utils.errors import UserError

MAX_NAME = 4096


def below(root: Path, *names: str) -> Path:
    """Return the path of the file or folder `names` below `root`, with links resolved.

    Raises UserError if the path is not below `root`, or a name is no file name.
    """
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
