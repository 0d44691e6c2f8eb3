"""What the loss terms of all tasks have in common."""

from __future__ import annotations

import pytest

from model.terms import kept, refuse
from utils.errors import UserError


def test_null_takes_a_term_away() -> None:
    assert kept({"a": 1, "b": None}) == {"a": 1}


def test_all_problems_are_refused_in_one_line_and_none_is_fine() -> None:
    refuse([])
    with pytest.raises(UserError, match=r"^loss.args.a: first; loss.args.b: second$"):
        refuse([("a", "first"), ("b", "second")])
