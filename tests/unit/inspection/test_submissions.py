"""A submission's verdict, and what changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from inspection.results import Result
from inspection.submissions import Submission, difference, lint, parse
from utils.errors import UserError

WANTED = ["a", "b", "c"]


def given(answers: list[str], keys: list[str] = WANTED) -> Submission:
    return Submission("x.csv", keys, answers)


def test_a_whole_submission_has_no_problem() -> None:
    assert lint(given(["1", "2", "1"]), WANTED, {"a": "1", "b": "2", "c": "1"}) == []


@pytest.mark.parametrize(
    ("submission", "said"),
    [
        (given(["1", "2"], ["a", "b"]), "1 rows are missing (c)"),
        (given(["1", "2", "3", "4"], ["a", "b", "c", "d"]), "1 rows are not asked for (d)"),
        (given(["1", "2", "3", "4"], ["a", "b", "c", "c"]), "1 rows stand more than once (c)"),
        (given(["1", "2", "3"], ["b", "a", "c"]), "the rows are in another order"),
        (given(["1", " ", "3"]), "1 rows have no answer (b)"),
        (given(["0", "0", "0"]), "all 3 answers are the same (0)"),
        (given([], []), "there are no rows"),
        (given(["1", "2", "9"]), "1 answers are not those of the predictions beside it (c)"),
    ],
)
def test_what_is_wrong_is_said(submission: Submission, said: str) -> None:
    problems = lint(submission, WANTED, {"a": "1", "b": "2", "c": "3"} if "9" in submission.answers else None)
    assert any(said in line for line in problems), problems


def result(folder: Path) -> Result:
    """Of three test samples below `folder`, which has a sample file too."""
    (folder / "info.csv").write_text("id,ans\na,0\nb,0\nc,0\n")
    found = Predictions.of(WANTED, {"colour": torch.full((3, 2), 0.5)})
    samples = SampleTable.from_columns(folder, {"id": WANTED, "path": WANTED})
    return Result(folder, found, Manifest("test", spec=DataSpec({"colour": ["red", "blue"]}), data_dir=str(folder)), samples)


def test_csv_takes_the_named_columns_and_tells_of_lines_that_are_short() -> None:
    found = parse("x.csv", b"ImageID,other,ans\na,x,1\nb,2\n", ("ImageID", "ans"))
    assert (found.keys, found.answers) == (["a"], ["1"])
    assert found.problems == ["1 lines have another number of columns than the header (3)"]


def test_lines_of_two_names_and_an_answer_are_pairs() -> None:
    assert parse("prediction.txt", b"a.jpg b.jpg 1\nc.jpg d.jpg 0\n").keys == ["a.jpg b.jpg", "c.jpg d.jpg"]


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.txt"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"[", b'"', b"[" * 3000])
def test_what_is_no_submission_is_one_line(name: str, content: bytes) -> None:
    try:
        found = parse(name, content)
    except UserError as error:
        assert str(error).startswith(name) and "\n" not in str(error)
    else:
        assert lint(found, WANTED)


def test_the_difference_has_before_and_now() -> None:
    table = difference(given(["1", "2", "3"]), Submission("y", ["a", "b", "d"], ["1", "5", "4"]))
    assert table.to_numpy().tolist() == [["b", "2", "5"], ["d", "", "4"], ["c", "3", ""]]
