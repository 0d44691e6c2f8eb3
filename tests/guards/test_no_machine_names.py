"""Check that no file names a folder of one machine or a package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.guards.sources import ROOT

# The names are split, so that the test does not match this file.
FOLDERS = ["work", "root", "home", "Users", "mnt", "workspace"]
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "conda." + "anaconda.org",
    "/simple" + "/",
]
MACHINE_PATH = re.compile(rf"""(?<![\w.}}\])*-])/(?:{"|".join(FOLDERS)})/\w""")


def tracked() -> list[Path]:
    """Return the files that git tracks, or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def lines() -> list[tuple[str, str]]:
    """Return (file:line, text) for every line of every text file."""
    numbered = []
    for path in tracked():
        try:
            texts = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        numbered += [(f"{path.relative_to(ROOT)}:{number}", text) for number, text in enumerate(texts, 1)]
    return numbered


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert [place for place, text in lines() if MACHINE_PATH.search(text)] == []


def test_no_file_names_a_package_registry() -> None:
    assert [place for place, text in lines() if any(name in text for name in REGISTRIES)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_pattern_finds_a_folder_of_one_machine(folder: str) -> None:
    assert MACHINE_PATH.search(f'path = "/{folder}/x"')
    assert not MACHINE_PATH.search(f"train/{folder}/x")
