"""Test Predictions: rows in order of id, rows with errors, averages, and a round trip through a file."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from base.predictions import Predictions, average
from base.table import SampleTable
from utils.errors import UserError


def some_predictions(ids="abc", errors=None, seed=0):
    random = torch.Generator().manual_seed(seed)
    samples = len(ids)
    return Predictions.of(
        list(ids),
        {
            "mask": torch.rand(samples, 3, generator=random),
            "score": torch.rand(samples, generator=random, dtype=torch.float64),
            "count": torch.arange(samples),
            "boxes": [torch.rand(number, 4, generator=random) for number in range(samples)],
        },
        errors,
    )


def table(*ids):
    return SampleTable.from_columns("/", {"id": list(ids), "path": list(ids)})


# Columns ------------------------------------------------------------------------------------------------------------


def test_columns_keep_shape_type_and_values():
    found = some_predictions()
    random = torch.Generator().manual_seed(0)
    assert (found.array("mask") == torch.rand(3, 3, generator=random).numpy()).all()
    assert found.array("mask").dtype == np.float32 and found.array("score").dtype == np.float64
    assert found.array("count").tolist() == [0, 1, 2]
    assert found.names == ["mask", "score", "count", "boxes"]


def test_ragged_columns_keep_their_shapes_even_if_they_are_empty():
    boxes = some_predictions().lists("boxes")
    assert [box.shape for box in boxes] == [(0, 4), (1, 4), (2, 4)]
    assert boxes[2].dtype == np.float32


def test_ragged_columns_of_numbers_are_lists_of_numbers():
    found = Predictions.of(["a", "b"], {"classes": [torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64)]})
    assert [classes.tolist() for classes in found.lists("classes")] == [[3, 1], []]


def test_batches_without_any_box_join_those_with_boxes():
    none = Predictions.of(["z"], {"boxes": [torch.zeros(0, 4)]})
    two = Predictions.of(["y"], {"boxes": [torch.ones(2, 4)]})
    assert [len(box) for box in Predictions.concatenate([none, two]).lists("boxes")] == [2, 0]


def test_a_sample_with_an_error_is_a_row_of_nulls():
    found = some_predictions(errors=["", "is cut off", ""])
    assert found.failed() == {"b": "is cut off"}
    assert np.isnan(found.array("mask")).tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert np.isnan(found.array("score")).tolist() == [False, True, False]
    assert np.isnan(found.array("count")).tolist() == [False, True, False]
    assert [len(box) for box in found.lists("boxes")] == [0, 0, 2]
    assert found.columns["mask"].null_count == found.columns["boxes"].null_count == 1


def test_a_million_rows_are_a_few_flat_buffers():
    found = Predictions.of([str(row) for row in range(1_000_000)], {"mask": torch.zeros(1_000_000, 3)})
    held = [b for column in found.columns.columns for chunk in column.chunks for b in chunk.buffers() if b is not None]
    assert len(held) <= 6 and sum(buffer.size for buffer in held) < 40_000_000


# Joining ------------------------------------------------------------------------------------------------------------


def test_pieces_are_joined_in_order_of_id():
    joined = Predictions.concatenate([some_predictions("dbf"), some_predictions("ace")])
    assert joined.ids() == list("abcdef")
    assert (joined.array("mask")[3] == some_predictions("dbf").array("mask")[0]).all()


def test_a_sample_predicted_twice_is_named():
    with pytest.raises(UserError, match="predictions: b predicted more than once"):
        Predictions.concatenate([some_predictions("ab"), some_predictions("bc")])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("ab", r"do not match the samples: 1 missing \(c\)"),
        ("abcd", r"do not match the samples: 1 unknown \(d\)"),
        ("abd", r"1 missing \(c\), 1 unknown \(d\)"),
        ("acb", "they are in another order"),
    ],
)
def test_predictions_of_other_samples_are_refused_by_name(ids, message):
    some_predictions("abc").require_ids(table("a", "b", "c"))
    with pytest.raises(UserError, match=message):
        some_predictions(ids).require_ids(table("a", "b", "c"))


# Averages -----------------------------------------------------------------------------------------------------------


def probabilities(values, errors=None, ids="ab"):
    return Predictions.of(list(ids), {"mask": torch.tensor(values)}, errors)


def test_the_average_is_the_mean_of_every_column():
    mean = average([probabilities([[0.2, 0.8], [1.0, 0.0]]), probabilities([[0.6, 0.4], [0.0, 1.0]])])
    assert mean.array("mask") == pytest.approx(np.array([[0.4, 0.6], [0.5, 0.5]]))


def test_the_average_uses_the_weights():
    mean = average([probabilities([[0.0, 1.0]] * 2), probabilities([[1.0, 0.0]] * 2)], [3.0, 1.0])
    assert mean.array("mask").tolist() == [[0.25, 0.75]] * 2
    assert mean.array("mask").dtype == np.float32


def test_rows_of_different_lengths_have_no_mean():
    ragged = Predictions.of(["a"], {"boxes": [torch.zeros(2, 4)]})
    with pytest.raises(UserError, match='fusion: the rows of "boxes" differ in length'):
        average([ragged, ragged])


def test_the_average_of_one_is_itself():
    one = probabilities([[0.2, 0.8], [1.0, 0.0]])
    assert (average([one]).array("mask") == one.array("mask")).all()


def test_an_error_in_one_is_an_error_in_the_average():
    values = [[0.2, 0.8], [1.0, 0.0]]
    mean = average([probabilities(values), probabilities(values, ["", "is cut off"]), probabilities(values, ["", "other"])])
    assert mean.failed() == {"b": "is cut off"}
    assert np.isnan(mean.array("mask")).tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize(
    "other", [probabilities([[1.0, 0.0]] * 2, ids="ac"), Predictions.of(["a", "b"], {"age": torch.zeros(2, 2)})]
)
def test_predictions_with_other_samples_or_columns_are_not_averaged(other):
    with pytest.raises(UserError, match="cannot be averaged"):
        average([probabilities([[1.0, 0.0]] * 2), other])


# Files --------------------------------------------------------------------------------------------------------------


def test_a_round_trip_through_parquet_changes_nothing(tmp_path):
    found, path = some_predictions(errors=["", "", "is cut off"]), tmp_path / "valid.parquet"
    found.write(path, {"checkpoint": "abc", "threshold": 0.25})
    again, manifest = Predictions.read(path)
    assert manifest == {"checkpoint": "abc", "threshold": 0.25}
    assert again.ids() == found.ids() and again.failed() == found.failed() and again.names == found.names
    for name in ("mask", "score", "count"):
        assert np.array_equal(again.array(name), found.array(name), equal_nan=True)
    for one, other in zip(again.lists("boxes"), found.lists("boxes"), strict=True):
        assert one.shape == other.shape and (one == other).all()


def test_the_manifest_is_beside_the_file(tmp_path):
    some_predictions().write(tmp_path / "valid.parquet", {"split_hash": "1"})
    assert json.loads((tmp_path / "valid.manifest.json").read_text()) == {"split_hash": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["valid.manifest.json", "valid.parquet"]


def test_predictions_are_read_by_other_tools(tmp_path):
    some_predictions().write(tmp_path / "valid.parquet", {})
    assert pq.read_table(tmp_path / "valid.parquet").column_names == ["id", "error", "mask", "score", "count", "boxes"]


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing PAR1", b"no parquet"])
def test_a_file_that_is_no_parquet_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match="x.parquet: is not a predictions file") as refusal:
        Predictions.read(tmp_path / "x.parquet")
    assert "\n" not in str(refusal.value)


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="x.parquet: is not a predictions file"):
        Predictions.read(tmp_path / "x.parquet")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.parquet: is not a predictions file"):
        Predictions.read(tmp_path / "gone.parquet")
