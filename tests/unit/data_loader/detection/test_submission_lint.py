"""Every fault of a file of boxes is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from base.contracts import DataSpec
from base.table import SampleTable
from data_loader.detection.submissions import CocoSubmission, CompetitionJsonSubmission

IDS = ["a.jpg", "b.jpg", "c.jpg"]


def lint(writer: Any, content: str | bytes, table: SampleTable, folder: Path) -> list[str]:
    found = writer.lint(content.encode() if isinstance(content, str) else content, table, folder)
    return list(found.problems)


def boxes_table(folder: Path) -> SampleTable:
    sizes = {"width": pa.array([60, 60, None], pa.int32()), "height": pa.array([40, 40, None], pa.int32())}
    return SampleTable.from_columns(folder, {"id": IDS, "path": IDS, **sizes})


def entry(name: str, **changes: Any) -> dict[str, Any]:
    return {"file_name": name, "objects": [{"class": "phone", "position": [1, 2, 30, 40], "confidence_score": 0.5, **changes}]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"class": "pen"}, 'objects are of no class of phone, cigar (a.jpg: "pen")'),
        ({"position": [1, 2, 30]}, "objects have no box of four finite numbers (a.jpg: [1, 2, 30])"),
        ({"position": [1, 2, 30, float("nan")]}, "objects have no box of four finite numbers"),
        ({"position": [30, 2, 1, 40]}, "objects have a box without area"),
        ({"position": [1, 2, 61, 40]}, "objects have a box outside its image (a.jpg: [1, 2, 61, 40])"),
        ({"confidence_score": 1.5}, "objects have no score in [0, 1] (a.jpg: 1.5)"),
        ({"confidence_score": float("nan")}, "objects have no score in [0, 1] (a.jpg: NaN)"),
        ({"confidence_score": None}, "objects have no score in [0, 1] (a.jpg: null)"),
    ],
)
def test_what_is_wrong_with_boxes_is_said(tmp_path: Path, changes: Any, problem: str | None) -> None:
    writer = CompetitionJsonSubmission(DataSpec({"object": ["phone", "cigar"]}))
    entries = [entry("a.jpg", **changes), {"file_name": "b.jpg", "objects": []}, entry("c.jpg")]
    found = lint(writer, json.dumps({"annotations": entries}), boxes_table(tmp_path), tmp_path)
    assert found == ([] if problem is None else [f"1 {problem}" if problem.endswith(")") else found[0]])
    assert problem is None or problem in found[0]


def test_images_that_are_missing_or_repeated_are_said(tmp_path: Path) -> None:
    writer = CompetitionJsonSubmission(DataSpec({"object": ["phone"]}))
    content = json.dumps({"annotations": [entry("a.jpg"), entry("a.jpg"), entry("c.jpg")]})
    assert lint(writer, content, boxes_table(tmp_path), tmp_path) == [
        "1 rows stand more than once (a.jpg)", "1 rows are missing (b.jpg)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["", "[", "[" * 3000, "{}", '{"annotations": [1]}', '{"annotations": [{"file_name": "a"}]}', "[1]"]
)
@pytest.mark.parametrize("writer", [CompetitionJsonSubmission, CocoSubmission])
def test_what_is_no_list_of_boxes_is_one_line(tmp_path: Path, writer: Any, content: str) -> None:
    found = lint(writer(DataSpec({"object": ["phone"]})), content, boxes_table(tmp_path), tmp_path)
    assert len(found) == 1 and found[0].startswith("is no ")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"image_id": 4}, "are of no image that is asked for (entry 1: 4)"),
        ({"category_id": 3}, "are of no category that there is (a.jpg: 3)"),
        ({"bbox": [50, 2, 20, 5]}, "have a box outside its image"),
        ({"bbox": [50, 2, 0, 5]}, "have a box without area"),
        ({"score": -0.1}, "have no score in [0, 1]"),
    ],
)
def test_what_is_wrong_with_coco_results_is_said(tmp_path: Path, changes: Any, problem: str | None) -> None:
    writer = CocoSubmission(DataSpec({"object": ["phone", "cigar"]}))
    given = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 30, 20], "score": 0.5, **changes}
    found = lint(writer, json.dumps([given]), boxes_table(tmp_path), tmp_path)
    assert len(found) == (problem is not None) and all(str(problem) in line for line in found)
