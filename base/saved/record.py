"""Read the small JSON files (records) that describe groups and ensembles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from utils.errors import UserError

MAX_BYTES = 2**26  # a group of 1,000 members with their whole configs takes a tenth of that


def read_record(path: Path, advice: str) -> dict[str, Any]:
    """Return the JSON object in a file. advice: tells the user what to do if the file is bad.

    Raises UserError if the file cannot be read, is larger than MAX_BYTES, or holds anything but one JSON object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        value = json.loads(content)
        if not isinstance(value, dict):
            raise ValueError(f"found {type(value).__name__}, allowed: an object")
        return value
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error), advice) from None


def damaged(path: Path, reason: str, advice: str) -> UserError:
    """Return the error for a record that Laurel did not write in this form."""
    return UserError(f"{path}: is damaged ({' '.join(reason.split())[:120]}); {advice}")
