"""Functions that show text and numbers on a Markdown page: names of files, people, classes and runs are shown literally."""

from __future__ import annotations

import re


def literal(text: object) -> str:
    """Return the text as a code span, so that Streamlit's Markdown makes no HTML, link, emoji, colour or formula of it.

    Escaping single characters is not enough: Streamlit looks for addresses and :emoji: after it has removed the escapes.
    """
    line = " ".join(str(text).split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def share(value: float, digits: int = 1) -> str:
    """Return a share in [0, 1] as a percentage; a dash if it is NaN."""
    return "–" if value != value else f"{value:.{digits}%}"


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many decimals; a dash if it is NaN."""
    return "–" if value != value else f"{value:,.{digits}f}"
