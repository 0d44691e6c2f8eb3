"""The files speak of the project, and not of the machine or the mirrors of those who wrote them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.guards.sources import ROOT

# Taken apart, so that this file does not find itself.
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
    """Files that git has, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def lines() -> list[tuple[str, str]]:
    """(file:line, text) of every text file."""
    found = []
    for path in tracked():
        try:
            texts = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [(f"{path.relative_to(ROOT)}:{number}", text) for number, text in enumerate(texts, 1)]
    return found


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert [place for place, text in lines() if MACHINE_PATH.search(text)] == []


def test_no_file_names_a_package_registry() -> None:
    assert [place for place, text in lines() if any(name in text for name in REGISTRIES)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_such_a_path_would_be_found(folder: str) -> None:
    assert MACHINE_PATH.search(f'path = "/{folder}/x"')
    assert not MACHINE_PATH.search(f"train/{folder}/x")
