"""A folder that nothing may leave."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a link that leaves it, beside a file that nobody may read."""
    folder = tmp_path / "deep" / "root"
    (folder / "a" / "b").mkdir(parents=True)
    (tmp_path / "deep" / "secret.txt").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "deep")
    (folder / "circle").symlink_to(folder / "circle")
    return folder
