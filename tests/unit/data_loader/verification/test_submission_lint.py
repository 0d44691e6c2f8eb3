"""Every fault of a file of answers to pairs is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.table import SampleTable
from base.verification.pairs import Pairs, add_pairs
from data_loader.verification.submission import PairSubmission

IDS = ["a.jpg", "b.jpg", "c.jpg"]


def lint(writer: Any, content: str | bytes, table: SampleTable, folder: Path) -> list[str]:
    found = writer.lint(content.encode() if isinstance(content, str) else content, table, folder)
    return list(found.problems)


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[[str], list[str]]:
    """The problems of a file of answers to a-b, b-c and, once more, a-b."""
    table = SampleTable.from_columns(tmp_path, {"id": IDS, "path": IDS})
    rows = np.array([0, 1, 0]), np.array([1, 2, 1])
    table = add_pairs(table, Pairs(*rows, np.full(3, -1, np.int8)))
    return lambda content: lint(PairSubmission(), content, table, tmp_path)


PAIRED = "a.jpg b.jpg 0\nb.jpg c.jpg 1\na.jpg b.jpg 0\n"


def test_a_pair_that_is_asked_for_twice_is_answered_twice(pairs: Any) -> None:
    assert pairs(PAIRED) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (PAIRED + "a.jpg b.jpg 0\n", "1 rows stand more than once (a.jpg b.jpg)"),
        ("a.jpg b.jpg 0\nb.jpg c.jpg 1\n", "1 rows are missing (a.jpg b.jpg)"),
        (PAIRED.replace("c.jpg 1", "c.jpg 2"), "1 answers are neither 0 nor 1 (b.jpg c.jpg: 2)"),
        (PAIRED.replace("b.jpg c.jpg", "c.jpg b.jpg"), "1 rows are not asked for (c.jpg b.jpg)"),
        ("b.jpg c.jpg 1\na.jpg b.jpg 0\na.jpg b.jpg 0\n", "in another order"),
        (PAIRED + "x\n", "1 lines are not two images and an answer (line 4)"),
        ("", "there are no rows"),
    ],
)
def test_what_is_wrong_with_pairs_is_said(pairs: Any, content: str, problem: str) -> None:
    assert any(problem in line for line in pairs(content)), pairs(content)
