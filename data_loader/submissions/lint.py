"""What may be wrong with a submission file of any format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from base.table import some


def text_of(content: bytes) -> tuple[str, list[str]]:
    """The text of a file, and what is wrong with its encoding."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return "", [f"is not UTF-8 text (byte {error.start})"]
    return text.removeprefix("\ufeff"), ["begins with a byte order mark, which not every reader skips"] if text[
        :1
    ] == "\ufeff" else []


def key_problems(keys: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """What is wrong with what the rows are about, a line for each kind.

    wanted: what is asked for, in its order; None where that is not known. What it lists twice is asked for twice.
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
    """A line about these, if there are any."""
    return [f"{len(names):,} {what} ({some(names)})"] if names else []


def _other_order(keys: Sequence[str], wanted: Sequence[str]) -> str:
    place = next(number for number, (one, other) in enumerate(zip(keys, wanted, strict=True)) if one != other)
    found = f"row {place + 1} is {some([keys[place]])}, asked for is {some([wanted[place]])}"
    return f"the rows are in another order than those that are asked for ({found})"
