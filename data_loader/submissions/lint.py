"""Checks of submission files of any format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from base.table import some


def text_of(content: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and the problems of its encoding."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return "", [f"is not UTF-8 text (byte {error.start})"]
    return text.removeprefix("\ufeff"), ["begins with a byte order mark, which not every reader skips"] if text[
        :1
    ] == "\ufeff" else []


def key_problems(keys: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the problems of the rows' ids, a line for each kind.

    wanted: the requested ids, in order; None if they are not known. An id that `wanted` lists twice is requested twice.
    """
    if not keys:
        return ["there are no rows"]
    there, asked = Counter(keys), Counter(wanted if wanted is not None else dict.fromkeys(keys))
    twice = [key for key, count in there.items() if count > max(1, asked[key])]
    problems = counted("rows stand more than once", twice)
    if wanted is None:
        return problems
    missing = [key for key, count in asked.items() if there[key] < count]
    extra = sorted(key for key in there if key not in asked)
    problems += counted("rows are missing", missing) + counted("rows are not asked for", extra)
    return problems or ([] if list(wanted) == list(keys) else [_other_order(keys, wanted)])


def counted(what: str, names: Sequence[str]) -> list[str]:
    """Return a line with the number of names and some of them; an empty list without names."""
    return [f"{len(names):,} {what} ({some(names)})"] if names else []


def _other_order(keys: Sequence[str], wanted: Sequence[str]) -> str:
    place = next(number for number, (one, other) in enumerate(zip(keys, wanted, strict=True)) if one != other)
    first = f"row {place + 1} is {some([keys[place]])}, asked for is {some([wanted[place]])}"
    return f"the rows are in another order than those that are asked for ({first})"
