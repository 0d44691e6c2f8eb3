"""No name leads out of the folder that it is to be below."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest

from inspection.jail import below
from inspection.results import Result, read
from inspection.runs import Run
from utils.errors import UserError

UPS = ["..", "../..", "../../..", "a/../..", "./..", "a/b/../../..", "..//..", "x/../../x/../.."]
ENDS = ["", "/", "/secret.txt", "/../secret.txt", "//secret.txt", "/./secret.txt", "/saved", "/\u202esecret.txt"]
ABSOLUTE = ["/", "//", "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/dev/zero", "/dev/stdin", "/secret.txt", "/.", "/.."]
ODD = ["\0", "a\0b", "secret.txt\0.jpg", "", ".", "./", "a/..", "x" * 5000, "/" * 300, "../" * 60, "link"]
LINKS = ["link/secret.txt", "link/../secret.txt", "circle", "circle/x", "../" * 3 + "x" * 4000, "\0/etc/passwd", "././.", "a//.."]
FILES = ["secret.txt", "etc/passwd", "proc/self/mem", "dev/zero", "%2e%2e/secret.txt", "..\\..\\secret.txt"]
DEEP = [f"{'../' * depth}{name}" for depth, name in product(range(1, 21), FILES)]
TRAVERSALS = list(dict.fromkeys([*(up + end for up, end in product(UPS, ENDS)), *ABSOLUTE, *ODD, *LINKS, *DEEP]))


def test_there_are_at_least_200_of_them() -> None:
    assert len(TRAVERSALS) >= 200


@pytest.mark.parametrize("start", range(0, len(TRAVERSALS), 40))
def test_no_traversal_leaves_the_root(root: Path, start: int) -> None:
    for name in TRAVERSALS[start : start + 40]:
        try:
            found = below(root, name)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert found.resolve().is_relative_to(root.resolve()) and found != root


def test_no_traversal_reads_the_secret(root: Path) -> None:
    opened: list[str] = []

    def note(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and watching:
            opened.append(str(args[0]))

    watching = True
    sys.addaudithook(note)  # cannot be taken away again
    for name in TRAVERSALS:
        try:
            below(root, name).read_bytes()
        except (UserError, OSError):
            continue
    watching = False
    assert [path for path in opened if not Path(path).resolve().is_relative_to(root.resolve())] == []


def test_a_file_below_is_found_by_its_name_in_any_script(root: Path) -> None:
    (root / "a" / "사람.jpg").write_bytes(b"x")
    assert below(root, "a", "사람.jpg").read_bytes() == b"x"


def test_predictions_are_read_below_the_runs_log_only(root: Path) -> None:
    run = Run(root / "saved" / "models" / "name" / "id")
    for name in TRAVERSALS:
        with pytest.raises(UserError):
            read(run, name)


def test_pictures_are_read_below_the_data_folder_only(root: Path) -> None:
    from base.evaluation import Manifest
    from base.predictions import Predictions
    from base.table import SampleTable

    samples = SampleTable.from_columns(root, {"id": [str(number) for number in range(len(TRAVERSALS))], "path": TRAVERSALS})
    result = Result(root, Predictions.of(samples.ids(), {}), Manifest("valid"), samples)
    for row in range(len(TRAVERSALS)):
        try:
            assert result.picture(row).resolve().is_relative_to(root.resolve())
        except UserError:
            continue
