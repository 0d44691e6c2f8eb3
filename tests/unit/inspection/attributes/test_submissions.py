"""The verdict on a submission is that of the config's own submission writer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from inspection.results import Result
from inspection.submissions import verdict
from utils.errors import UserError

WANTED = ["a", "b", "c"]


def result(folder: Path) -> Result:
    """Of three test samples below `folder`, which has a sample file too."""
    (folder / "info.csv").write_text("id,ans\na,0\nb,0\nc,0\n")
    found = Predictions.of(WANTED, {"colour": torch.full((3, 2), 0.5)})
    samples = SampleTable.from_columns(folder, {"id": WANTED, "path": WANTED})
    return Result(folder, found, Manifest("test", spec=DataSpec({"colour": ["red", "blue"]}), data_dir=str(folder)), samples)


SECTION = {
    "type": "CombinedClassSubmission",
    "args": {"sample": "info.csv", "id_column": "id", "answer_column": "ans", "file": "x.csv"},
}


def test_the_verdict_is_that_of_the_configs_own_submission(tmp_path: Path) -> None:
    assert verdict(SECTION, result(tmp_path), "x.csv", b"id,ans\na,0\nb,1\nc,1\n") == []
    problems = verdict(SECTION, result(tmp_path), "x.csv", b"id,ans\na,0\nb,2\n")
    assert problems == ["1 rows are missing (c)", "1 answers are no class number from 0 to 1 (b: 2)"]


def test_a_file_of_another_name_has_no_such_verdict(tmp_path: Path) -> None:
    assert verdict(SECTION, result(tmp_path), "other.csv", b"") is None


def test_a_sample_file_outside_the_data_folder_is_not_read(tmp_path: Path) -> None:
    section = {"type": SECTION["type"], "args": {**SECTION["args"], "sample": "../info.csv"}}  # type: ignore[dict-item]
    with pytest.raises(UserError, match="is not below"):
        verdict(section, result(tmp_path), "x.csv", b"")


@pytest.mark.parametrize("section", [{}, {"type": "None"}, {"type": "CombinedClassSubmission", "args": {"sample": 3}}])
def test_a_section_that_does_not_hold_is_one_line(tmp_path: Path, section: dict[str, object]) -> None:
    with pytest.raises(UserError, match="submission: does not hold") as error:
        verdict(section, result(tmp_path), "x.csv", b"")
    assert "\n" not in str(error.value)
