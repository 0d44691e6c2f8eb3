"""Text from data on a page that reads Markdown: names of files, people, classes and runs are shown as they are."""

from __future__ import annotations

import re


def literal(text: object) -> str:
    """The text as a code span, in which Streamlit's Markdown finds no HTML, link, emoji, colour or formula.

    Escaping single characters would not do: addresses and :emoji: are found after escapes have been taken away.
    """
    line = " ".join(str(text).split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def share(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as people read it."""
    return "–" if value != value else f"{value:.{digits}%}"


def number(value: float, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "–" if value != value else f"{value:,.{digits}f}"
