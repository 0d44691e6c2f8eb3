"""The labels of an evaluation, one by one and all together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from inspection import results
from inspection.attributes.kind import KIND, reported_counts
from inspection.attributes.labels import ALL_LABELS, Labels, texts_of
from inspection.results import Result
from inspection.runs import Run
from tests.app_world import write_result, write_run

CLASSES = {"mask": ["on", "off"], "age": ["young", "old"]}
MASK = {"column": "shot", "classes": ["worn", "not worn"], "values": {"mask": "worn", "normal": "not worn"}}
AGE = {"classes": ["under 30", "30 to 59", "60 and over"], "bins": [30, 60]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one evaluation of three samples; age is trained in three classes."""
    folder = write_run(tmp_path, "a/20260101-000000-0000", {"name": "a"}, [])
    columns = {"id": ["b", "a", "c"], "path": ["b.jpg", "a.jpg", "c.jpg"], "mask": [0, 1, -1], "age": [0, 1, 2]}
    samples = SampleTable.from_columns(tmp_path, columns)
    mask = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    write_result(folder, "valid-best", samples, {"mask": mask, "age": mask.flip(1)}, classes=CLASSES, merged={"age": [0, 0, 1]})
    return Run(folder.models)


@pytest.fixture
def labels(run: Run) -> Labels:
    return Labels(results.read(run, "valid-best"))


def test_all_labels_together_are_one_class_each(labels: Labels) -> None:
    assert labels.classes(ALL_LABELS) == ["on, young", "on, old", "off, young", "off, old"]
    assert labels.truth(ALL_LABELS).tolist() == [2, 0, -1]
    assert labels.probabilities(ALL_LABELS)[0].tolist() == pytest.approx([0.2 * 0.8, 0.2 * 0.2, 0.8 * 0.8, 0.8 * 0.2])


def test_the_answer_to_all_labels_is_that_to_each(labels: Labels) -> None:
    assert labels.answer(ALL_LABELS).tolist() == [2 * mask + age for mask, age in zip(*map(labels.answer, CLASSES), strict=True)]


def test_the_kind_is_told_from_the_header(run: Run) -> None:
    assert results.kinds(run) == {"attributes"}


def test_a_submission_of_the_combined_class_is_expected_to_hold_it(labels: Labels) -> None:
    assert KIND.expected(labels.result, {"type": "CombinedClassSubmission"}) == {"a": "2", "b": "1", "c": "0"}
    assert KIND.expected(labels.result, {"type": "CombinedClassSubmission", "args": {"labels": ["age"]}}) == {
        "a": "0",
        "b": "1",
        "c": "0",
    }
    assert KIND.expected(labels.result, {"type": "Other"}) is None


def test_a_sample_that_could_not_be_read_has_no_answer(tmp_path: Path) -> None:
    predictions = Predictions.of(["a"], {"mask": torch.tensor([[0.1, 0.9]])}, ["is cut off"])
    samples = SampleTable.from_columns(tmp_path, {"id": ["a"], "path": ["a"]})
    found = Labels(Result(tmp_path, predictions, Manifest("valid", spec=DataSpec(CLASSES)), samples))
    assert np.isnan(found.probabilities("mask")).all() and found.answer("mask").tolist() == [-1]


@pytest.mark.parametrize(
    ("label", "column", "texts"),
    [
        ("mask", "shot", {"worn": "mask", "not worn": "normal"}),
        ("age", "age", {"under 30": "29", "30 to 59": "30", "60 and over": "60"}),
        ("gender", "gender", {"male": "male", "female": "female"}),
        ("nothing", "", {}),
    ],
)
def test_a_class_is_written_as_the_reader_finds_it(label: str, column: str, texts: dict[str, str]) -> None:
    labels = {"mask": MASK, "age": AGE, "gender": {"classes": ["male", "female"]}}
    assert texts_of({"data_loader": {"args": {"labels": labels}}}, label) == (column, texts)


def test_counts_of_finer_classes_are_added_to_those_reported() -> None:
    assert reported_counts([10, 5, 1], [0, 0, 1], 2).tolist() == [15, 1]
