"""Check that the scripts are doors only; their work is done in commands/, trainer/ and inspection/."""

from __future__ import annotations

import ast

import pytest

from tests.guards.sources import ROOT, tree


@pytest.mark.parametrize("verb", ["train", "test"])
def test_a_door_is_the_command_of_its_name(verb: str) -> None:
    *before, last = tree(ROOT / f"{verb}.py").body
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) for node in before)
    assert ast.unparse(last) == f"if __name__ == '__main__':\n    run(lambda: command('{verb}', sys.argv[1:]))"
