"""Test SampleTable: columns in flat memory, and methods that return a new table."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from base.table import SampleTable, require_unique_ids, some
from utils.errors import UserError


def table(samples=5, **columns):
    ids = [f"p{row:07}/mask.jpg" for row in range(samples)]
    return SampleTable.from_columns(Path("/data"), {"id": ids, "path": ids, **columns})


def buffers(found):
    chunks = [chunk for column in found.columns.columns for chunk in column.chunks]
    return [buffer for chunk in chunks for buffer in chunk.buffers() if buffer is not None]


def test_a_million_samples_are_a_few_flat_buffers():
    found = table(1_000_000, label=np.zeros(1_000_000, np.int16))
    assert len(found) == 1_000_000
    assert len(buffers(found)) <= 6
    assert sum(buffer.size for buffer in buffers(found)) < 50_000_000
    assert found.path(999_999) == Path("/data/p0999999/mask.jpg")


def test_pieces_are_joined_into_one_chunk_per_column():
    pieces = pa.concat_tables([table(2).columns, table(3).columns])
    assert [column.num_chunks for column in SampleTable(Path("/"), pieces).columns.columns] == [1, 1]


def test_ids_and_paths_are_those_of_their_rows():
    found = table(3)
    assert found.ids() == found.paths() == ["p0000000/mask.jpg", "p0000001/mask.jpg", "p0000002/mask.jpg"]
    assert found.id(1) == "p0000001/mask.jpg"
    assert found.path(1) == Path("/data/p0000001/mask.jpg")


def test_numbers_are_not_copied():
    values = np.arange(5, dtype=np.int16)
    found = table(label=values)
    assert found.numbers("label").tolist() == values.tolist()
    assert np.shares_memory(found.numbers("label"), found.numbers("label"))


def test_strings_of_missing_values_are_empty():
    assert table(3, age=["1", None, "3"]).strings("age") == ["1", "", "3"]
    assert table(2, age=[1, 2]).strings("age") == ["1", "2"]


def test_a_cell_is_a_plain_value():
    assert table(2, age=[1, None]).values("age", 1) is None
    assert type(table(2, age=np.array([1, 2], np.int16)).values("age", 0)) is int


def test_a_column_is_added_or_replaced_in_its_place():
    found = table(2, a=[1, 2], b=[3, 4])
    assert found.with_column("c", [5, 6]).names == ["id", "path", "a", "b", "c"]
    replaced = found.with_column("a", ["x", "y"])
    assert replaced.names == found.names and replaced.strings("a") == ["x", "y"]
    assert found.numbers("a").tolist() == [1, 2]


def test_rows_are_taken_in_the_given_order():
    taken = table(4, a=[0, 1, 2, 3]).take(np.array([3, 1, 1]))
    assert taken.numbers("a").tolist() == [3, 1, 1]
    assert taken.id(0) == "p0000003/mask.jpg" and taken.path(1).name == "mask.jpg"


def test_sorting_is_by_id():
    found = table(4, a=[0, 1, 2, 3]).take([2, 0, 3, 1]).sorted()
    assert found.numbers("a").tolist() == [0, 1, 2, 3]


def test_dropped_ids_are_not_in_the_table():
    assert table(3).drop(["p0000001/mask.jpg", "unknown"]).ids() == ["p0000000/mask.jpg", "p0000002/mask.jpg"]


def test_a_table_may_have_no_rows():
    empty = table(3).take([])
    assert len(empty) == 0 and empty.ids() == [] and empty.sorted().paths() == []


def test_a_table_survives_pickling():
    again = pickle.loads(pickle.dumps(table(3, a=[1, 2, 3])))
    assert again.ids() == table(3).ids() and again.path(2) == table(3).path(2)


def test_repeated_ids_are_named():
    require_unique_ids(table(3), "labels.csv")
    with pytest.raises(UserError, match=r"labels.csv: p0000001/mask.jpg listed more than once; every sample needs an id"):
        require_unique_ids(table(3).take([0, 1, 1, 2]), "labels.csv")


def test_some_shows_the_first_names_and_counts_the_others():
    assert some(["a", "b"]) == "a, b"
    assert some(map(str, range(2000)), 2) == "0, 1 and 1,998 more"


def test_some_escapes_unprintable_names():
    assert some(["a\nb", "é", "\udcff"]) == "a\\nb, é, \\udcff"


# Digest -------------------------------------------------------------------------------------------------------------

BOXES = [[[0.0, 1.0, 2.0, 3.0]], []]
CELLS = {"label": [1, -1], "size": [0.5, None], "name": ["å", None], "boxes": BOXES, "flag": [True, False]}


def test_a_digest_does_not_depend_on_the_memory_layout():
    found = table(2, **CELLS)
    kept = {**CELLS, "label": np.array([1, -1], np.int16), "boxes": pa.array(BOXES, pa.list_(pa.list_(pa.float32(), 4)))}
    other = SampleTable(Path("/elsewhere"), table(2, **kept).columns.slice(0)).with_column("path", ["x", "y"])
    assert other.digest() == found.digest()
    assert table(3, label=[0, 1, 2]).take([1, 2]).digest() == table(3, label=[9, 1, 2]).take([1, 2]).digest()


@pytest.mark.parametrize(
    ("name", "changed"),
    [("label", [1, 0]), ("size", [0.5, 0.0]), ("name", ["å", "None"]), ("flag", [True, True]),
     ("boxes", [[[0.0, 1.0, 2.0, 3.5]], []]), ("boxes", [[], [[0.0, 1.0, 2.0, 3.0]]])],
)  # fmt: skip
def test_a_digest_changes_with_a_cell_unless_its_column_is_left_out(name, changed):
    before, after = table(2, **CELLS), table(2, **{**CELLS, name: changed})
    assert before.digest() != after.digest()
    assert before.digest(but=[name]) == after.digest(but=[name])


def test_a_digest_covers_related_tables():
    columns = table(2).columns
    digests = {SampleTable(Path(), columns, {"pairs": pa.table({"same": same})}).digest() for same in ([0, 1], [1, 1])}
    assert len(digests) == 2
