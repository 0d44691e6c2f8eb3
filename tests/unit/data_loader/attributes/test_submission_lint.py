"""A file of classes that could not be handed in is never written, and every fault of a file from elsewhere is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from data_loader.attributes.submission import CombinedClassSubmission
from laurel import command
from tests.helpers import ROOT
from utils.errors import UserError

IDS = ["a.jpg", "b.jpg", "c.jpg"]


SPEC = DataSpec({"mask": ["worn", "wrong", "none"], "gender": ["male", "female"]})


GOOD = "ImageID,ans\nc.jpg,5\na.jpg,0\nb.jpg,1\n"


def lint(writer: Any, content: str | bytes, table: SampleTable, folder: Path) -> list[str]:
    found = writer.lint(content.encode() if isinstance(content, str) else content, table, folder)
    return list(found.problems)


@pytest.fixture
def classes(tmp_path: Path) -> Callable[[str | bytes], list[str]]:
    """The problems of a file of combined classes."""
    (tmp_path / "info.csv").write_text("ImageID,ans\nc.jpg,0\na.jpg,0\nb.jpg,0\n")
    writer = CombinedClassSubmission(SPEC, "info.csv", "ImageID", "ans")
    table = SampleTable.from_columns(tmp_path, {"id": IDS, "path": IDS})
    return lambda content: lint(writer, content, table, tmp_path)


def test_a_whole_file_has_no_problem(classes: Any) -> None:
    assert classes(GOOD) == []
    assert classes(GOOD.replace("\n", "\r\n")) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (GOOD.replace("b.jpg,1\n", ""), "1 rows are missing (b.jpg)"),
        (GOOD + "b.jpg,1\n", "1 rows stand more than once (b.jpg)"),
        (GOOD + "d.jpg,1\n", "1 rows are not asked for (d.jpg)"),
        ("ImageID,ans\na.jpg,5\nc.jpg,0\nb.jpg,1\n", "in another order than those that are asked for (row 1 is a.jpg"),
        (GOOD.replace(",5", ",6"), "1 answers are no class number from 0 to 5 (c.jpg: 6)"),
        (GOOD.replace(",5", ",-1"), "(c.jpg: -1)"),
        (GOOD.replace(",5", ",1.0"), "(c.jpg: 1.0)"),
        (GOOD.replace(",5", ",nan"), "(c.jpg: nan)"),
        (GOOD.replace(",5", ","), "(c.jpg: nothing)"),
        (GOOD.replace(",5", ",5,5"), "1 rows have another number of fields than the header (row 1)"),
        (GOOD.replace("ans", "answer"), "its columns are ImageID, answer; asked for are ImageID, ans"),
        ("ImageID,ans\n", "there are no rows"),
        ("", "its columns are none"),
        ('"', "is not CSV"),
        (b"\xff\xfe", "is not UTF-8 text (byte 0)"),
        ("\ufeff" + GOOD, "begins with a byte order mark"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_classes_is_said(classes: Any, content: str | bytes, problem: str) -> None:
    found = classes(content)
    assert any(problem in line for line in found), found
    assert not any("\n" in line for line in found)


def test_every_kind_of_problem_has_its_line(classes: Any) -> None:
    assert len(classes("ImageID,ans\na.jpg,9\na.jpg,0\nd.jpg,1\n")) == 4


def test_other_columns_must_be_those_of_the_sample(tmp_path: Path) -> None:
    (tmp_path / "info.csv").write_text("ImageID,note,ans\na.jpg,x,0\n")
    writer = CombinedClassSubmission(SPEC, "info.csv", "ImageID", "ans")
    table = SampleTable.from_columns(tmp_path, {"id": ["a.jpg"], "path": ["a.jpg"]})
    assert lint(writer, "ImageID,note,ans\na.jpg,y,0\n", table, tmp_path) == [
        "1 rows differ from the sample file beside their answer (a.jpg)"
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_named_and_nothing_is_written(tmp_path: Path, value: float) -> None:
    (tmp_path / "info.csv").write_text(GOOD)
    mask = torch.full((3, 3), 0.3)
    mask[1, 2] = value
    found = Predictions.of(IDS, {"mask": mask, "gender": torch.full((3, 2), 0.5)})
    table = SampleTable.from_columns(tmp_path, {"id": IDS, "path": IDS})
    writer = CombinedClassSubmission(SPEC, "info.csv", "ImageID", "ans")
    with pytest.raises(UserError, match=r"out.csv: not written, since the predictions for 1 images are not finite \(b.jpg\)"):
        writer.write(found, table, {}, tmp_path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_predictions_for_other_samples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "info.csv").write_text(GOOD)
    found = Predictions.of(IDS[:2], {"mask": torch.full((2, 3), 0.3), "gender": torch.full((2, 2), 0.5)})
    table = SampleTable.from_columns(tmp_path, {"id": IDS, "path": IDS})
    with pytest.raises(UserError, match=r"1 missing \(c.jpg\)"):
        CombinedClassSubmission(SPEC, "info.csv", "ImageID", "ans").write(found, table, {}, tmp_path, tmp_path / "out.csv")


def test_what_the_linter_finds_is_not_written(tmp_path: Path) -> None:
    class Careless(CombinedClassSubmission):
        def content(self, *args: Any) -> bytes:
            return b"ImageID,ans\na.jpg,7\n"

    (tmp_path / "info.csv").write_text(GOOD)
    found = Predictions.of(IDS, {"mask": torch.full((3, 3), 0.3), "gender": torch.full((3, 2), 0.5)})
    table = SampleTable.from_columns(tmp_path, {"id": IDS, "path": IDS})
    with pytest.raises(UserError, match=r"out.csv: not written: 2 rows are missing .*\nout.csv: not written: 1 answers"):
        Careless(SPEC, "info.csv", "ImageID", "ans").write(found, table, {}, tmp_path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def run(*arguments: Any) -> int:
    return command("lint", [*map(str, arguments)])


def test_the_command_tells_a_good_file_from_a_bad_one(masks_folder: Path, tmp_path: Path, capsys: Any) -> None:
    given = ["-c", ROOT / "configs" / "masks.json", "--set", f"data_loader.args.data_dir={masks_folder}"]
    assert run(*given, masks_folder / "eval" / "info.csv") == 0
    assert "info.csv: 28 rows, complete, in order and in range for CombinedClassSubmission" in capsys.readouterr().out
    bad = tmp_path / "bad.csv"
    bad.write_text((masks_folder / "eval" / "info.csv").read_text().replace(",0\n", ",18\n", 1))
    with pytest.raises(UserError, match=r"bad.csv: 1 answers are no class number from 0 to 17 \(.*: 18\)"):
        run(*given, bad)


def test_a_file_that_is_not_there_and_a_config_without_a_submission_are_named(masks_folder: Path) -> None:
    given = ["-c", ROOT / "configs" / "masks.json", "--set", f"data_loader.args.data_dir={masks_folder}"]
    with pytest.raises(UserError, match="gone.csv: cannot be read"):
        run(*given, "gone.csv")
    with pytest.raises(UserError, match="submission: is not set"):
        run(*given, "--set", "submission=null", "gone.csv")
