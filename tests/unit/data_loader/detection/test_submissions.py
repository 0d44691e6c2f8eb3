"""Predicted boxes in the files that competitions want, exactly those asked for, in their order."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from base.contracts import DataSpec
from base.detection.objects import objects_of
from base.predictions import Predictions
from data_loader.detection.formats.coco import CocoReader
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.detection.submissions import CocoSubmission, CompetitionJsonSubmission
from tests.detection.objects_folder import make_table, write_picture
from utils.errors import UserError

SPEC = DataSpec(classes={"object": ["phone", "cigar"]})


@pytest.fixture
def table(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / "images" / name, 40, 60)
    return make_table(tmp_path / "images", {name: (40, 60, []) for name in ("a.png", "b.png", "c.png")})


def predicted(errors=None):
    """Two boxes for a, none for b, one for c."""
    boxes = [[[1.26, 2, 30.04, 20], [-3, 5, 70, 39.97]], [], [[5, 5, 5.04, 9], [0, 0, 9.5, 9.5]]]
    scores = [[0.12345678, 0.9], [], [0.7, 0.00004]]
    labels = [[0, 1], [], [0, 0]]
    columns = {
        "boxes": [torch.tensor(rows, dtype=torch.float32).reshape(-1, 4) for rows in boxes],
        "scores": [torch.tensor(rows) for rows in scores],
        "labels": [torch.tensor(rows, dtype=torch.int64) for rows in labels],
    }
    return Predictions.of(["a.png", "b.png", "c.png"], columns, errors)


def written(submission, table, tmp_path, predictions=None):
    path = tmp_path / submission.file_name
    number = submission.write(predictions or predicted(), table, {}, tmp_path, path)
    return number, json.loads(path.read_text())


def test_the_competition_gets_positions_to_a_tenth_and_scores_to_four_digits(table, tmp_path):
    number, values = written(CompetitionJsonSubmission(SPEC), table, tmp_path)
    assert number == 3
    assert values == {
        "annotations": [
            {
                "file_name": "a.png",
                "objects": [
                    {"class": "cigar", "position": [0.0, 5.0, 60.0, 40.0], "confidence_score": 0.9},
                    {"class": "phone", "position": [1.3, 2.0, 30.0, 20.0], "confidence_score": 0.1235},
                ],
            },
            {"file_name": "b.png", "objects": []},
            {"file_name": "c.png", "objects": [{"class": "phone", "position": [0.0, 0.0, 9.5, 9.5], "confidence_score": 0.0}]},
        ]
    }


def test_the_images_are_those_of_the_sample_file_in_its_order(table, tmp_path):
    entries = [{"file_name": name, "objects": []} for name in ("c.png", "a.png", "b.png")]
    (tmp_path / "sample.json").write_text(json.dumps({"annotations": entries}))
    values = written(CompetitionJsonSubmission(SPEC, "sample.json"), table, tmp_path)[1]
    assert [entry["file_name"] for entry in values["annotations"]] == ["c.png", "a.png", "b.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "b.png"], r"1 images are predicted, but not asked for \(c.png\)"),
        (["a.png", "b.png", "c.png", "d.png"], r"1 images are not predicted \(d.png\)"),
        (["a.png", "b.png", "c.png", "a.png"], r"1 images are listed twice \(a.png\)"),
    ],
)
def test_other_images_than_those_asked_for_are_refused(table, tmp_path, names, message):
    entries = [{"file_name": name, "objects": []} for name in names]
    (tmp_path / "sample.json").write_text(json.dumps({"annotations": entries}))
    with pytest.raises(UserError, match=message):
        written(CompetitionJsonSubmission(SPEC, "sample.json"), table, tmp_path)
    assert not (tmp_path / "predictions.json").exists()


def test_what_is_written_can_be_read_as_annotations(table, tmp_path):
    written(CompetitionJsonSubmission(SPEC), table, tmp_path)
    read = CompetitionJsonReader("predictions.json", "images").read_objects(tmp_path, SPEC.classes["object"])
    assert objects_of(read).counts.tolist() == [2, 0, 1]


def test_coco_gets_xywh_and_numbers_from_1(table, tmp_path):
    number, values = written(CocoSubmission(SPEC), table, tmp_path)
    assert number == 3
    assert values[:2] == [
        {"image_id": 1, "category_id": 2, "bbox": [0.0, 5.0, 60.0, 34.97], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [1.26, 2.0, 28.78, 18.0], "score": 0.1235},
    ]
    assert [row["image_id"] for row in values] == [1, 1, 3, 3]


def test_coco_keeps_the_numbers_of_the_file_that_says_what_to_predict(table, tmp_path):
    images = [{"id": 10 * n, "file_name": name} for n, name in enumerate(("c.png", "b.png", "a.png"), 1)]
    lists = {"images": images, "categories": [{"id": 7, "name": "cigar"}, {"id": 3, "name": "phone"}], "annotations": []}
    (tmp_path / "coco.json").write_text(json.dumps(lists))
    read = CocoReader("coco.json", "images").read(tmp_path).sorted()
    values = written(CocoSubmission(SPEC), read, tmp_path)[1]
    assert [(row["image_id"], row["category_id"]) for row in values] == [(30, 7), (30, 3), (10, 3), (10, 3)]


def test_a_class_that_is_no_category_is_refused(table, tmp_path):
    lists = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 7, "name": "cigar"}], "annotations": []}
    (tmp_path / "coco.json").write_text(json.dumps(lists))
    read = CocoReader("coco.json", "images").read(tmp_path)
    with pytest.raises(
        UserError, match="results.json: phone: no category of the file that says what to predict; there are: cigar"
    ):
        CocoSubmission(SPEC)._categories(read)


@pytest.mark.parametrize("kind", [CompetitionJsonSubmission, CocoSubmission])
def test_an_image_that_could_not_be_read_gets_no_boxes(table, tmp_path, kind, capsys):
    submission = kind(SPEC)
    sizes = pa.array([60, None, 60], pa.int32())
    written(submission, table.with_column("width", sizes), tmp_path, predicted(["", "is cut off", ""]))
    assert "1 images could not be read and get no boxes: b.png is cut off" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"not written, since 3 images could not be read: a.png is cut off"):
        written(submission, table, tmp_path, predicted(["is cut off"] * 3))


def test_boxes_stand_by_falling_score(table):
    rows = CompetitionJsonSubmission(SPEC).rows(predicted(), table, 1)
    assert all((np.diff(scores) <= 0).all() for _, scores, _ in rows.values())
