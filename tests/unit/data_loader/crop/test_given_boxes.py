"""Every picture of the data is cut to its own box, whatever rows of the samples are in a table."""

from __future__ import annotations

from pathlib import Path

from data_loader.crop.crops import Crops
from data_loader.crop.given_boxes import GivenBoxes
from tests.people import People, settings_of, write_people


def test_the_boxes_are_those_of_the_table_that_is_given(tmp_path: Path) -> None:
    folder = write_people(tmp_path)
    names = sorted(path.name for path in (folder / "train").iterdir())
    lines = [f"train/{name},{number % 9},0,12,9" for number, name in enumerate(names)]
    (folder / "boxes.csv").write_text("\n".join(["path,s_X,s_Y,e_X,e_Y", *lines]))
    samples = People(settings_of(folder))
    boxes = GivenBoxes(Crops(file="boxes.csv"), folder)
    (table,), notes = boxes.add(samples.read_table(samples.reader).sorted())
    assert notes == [f"pictures are cut to the boxes of {folder / 'boxes.csv'}"]
    assert [boxes.of("train", table, row)[0] for row in range(len(table))] == [number % 9 for number in range(len(names))]
    assert boxes.of("train", table.take([7, 2]), 0)[0] == 7  # another table of the same split
    assert boxes.fingerprint([table]) != boxes.fingerprint([table.take([7, 2])])
