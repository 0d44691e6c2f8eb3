"""Predictions beside their samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from base.table import SampleTable
from inspection import results
from inspection.results import Result
from inspection.runs import Run
from tests.app_world import write_result, write_run
from tests.helpers import ROOT
from utils.errors import UserError

NEED_TORCH = ("inspection.model", "inspection.models", "inspection.dataset")
CLASSES = {"mask": ["on", "off"], "age": ["young", "old"]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one evaluation of three samples; age is trained in three classes."""
    folder = write_run(tmp_path, "a/20260101-000000-0000", {"name": "a"}, [])
    columns = {"id": ["b", "a", "c"], "path": ["b.jpg", "a.jpg", "../c.jpg"], "mask": [0, 1, -1], "age": [0, 1, 2]}
    samples = SampleTable.from_columns(tmp_path, {**columns, "person": ["P1", "p2", "사람"]})
    mask = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    write_result(folder, "valid-best", samples, {"mask": mask, "age": mask.flip(1)}, classes=CLASSES, merged={"age": [0, 0, 1]})
    return Run(folder.models)


@pytest.fixture
def result(run: Run) -> Result:
    return results.read(run, "valid-best")


def test_samples_and_predictions_are_in_the_same_order(result: Result) -> None:
    assert result.samples.ids() == result.predictions.ids() == ["a", "b", "c"]
    assert result.numbers("mask").tolist() == [1, 0, -1]


def test_trained_classes_are_shown_as_they_are_reported(result: Result) -> None:
    assert result.numbers("age").tolist() == [0, 0, 1]


def test_a_search_finds_every_word_in_any_column_whatever_its_case_and_script(result: Result) -> None:
    assert result.matching("p1 JPG").tolist() == [False, True, False]
    assert result.matching("사람").tolist() == [False, False, True]
    assert result.matching("off").tolist() == [True, False, False]


def test_a_picture_outside_the_data_is_refused(result: Result) -> None:
    with pytest.raises(UserError, match="nothing outside is read"):
        result.picture(2)


@pytest.mark.parametrize("damage", ["predictions.parquet", "samples.parquet"])
def test_a_damaged_file_is_one_line(run: Run, damage: str) -> None:
    (run.log / "valid-best" / damage).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UserError) as error:
        results.read(run, "valid-best")
    assert damage in str(error.value) and "\n" not in str(error.value)


def test_without_samples_it_says_what_to_do(run: Run) -> None:
    (run.log / "valid-best" / "samples.parquet").unlink()
    with pytest.raises(UserError, match="run test.py again"):
        results.read(run, "valid-best")


def test_a_file_that_is_written_anew_is_read_anew(run: Run, result: Result) -> None:
    assert results.read(run, "valid-best") is result
    path = run.log / "valid-best" / "predictions.parquet"
    path.write_bytes(path.read_bytes())
    assert results.read(run, "valid-best") is not result


def test_the_evaluations_of_a_run_are_named(run: Run) -> None:
    assert results.found(run) == ["valid-best"]


def test_reading_needs_no_torch(run: Run) -> None:
    code = (
        "import importlib, pkgutil, sys; from pathlib import Path; import inspection; from inspection import results, runs\n"
        f"names = [module.name for module in pkgutil.walk_packages(inspection.__path__, 'inspection.')]\n"
        f"modules = [importlib.import_module(name) for name in names if '.views' not in name and name not in {NEED_TORCH}]\n"
        f"found = results.read(runs.Run(Path({str(run.folder)!r})), 'valid-best')\n"
        "assert len(found.samples) == 3 and len(modules) > 10 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_values_that_are_many_are_no_attribute(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "b/20260101-000000-0000", {"name": "b"}, [])
    number = 60
    ids = [f"{place:03}" for place in range(number)]
    columns = {"id": ids, "path": ids, "many": ids, "few": ["x", "y"] * 30, "one": ["x"] * 60}
    samples = SampleTable.from_columns(tmp_path, columns)
    write_result(folder, "valid-best", samples, {"mask": torch.ones(number, 2) / 2}, classes={"mask": ["on", "off"]})
    assert list(results.read(Run(folder.models), "valid-best").attributes) == ["few"]
