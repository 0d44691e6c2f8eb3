"""Check that the scripts are short; their work is done in trainer/ and inspection/."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guards.sources import relative, scripts


@pytest.mark.parametrize("path", scripts(), ids=relative)
def test_a_script_has_under_80_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
