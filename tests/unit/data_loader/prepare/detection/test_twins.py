"""Pictures with boxes that are byte-identical are reported, although the classes of boxes have no column."""

from __future__ import annotations

import json

from base.contracts import RunContext
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.detection.loader import DetectionLoader, DetectionSettings
from data_loader.prepare.examine import examine
from data_loader.samples.splits import Split
from tests.detection.objects_folder import write_picture


def test_identical_pictures_with_boxes_are_reported(tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        write_picture(tmp_path / name, 40, 60)
    entries = [{"file_name": name, "objects": [{"class": "phone", "position": [1, 2, 30, 40]}]} for name in names]
    (tmp_path / "labels.json").write_text(json.dumps({"annotations": entries}))
    settings = DetectionSettings(
        data_dir=str(tmp_path), reader=CompetitionJsonReader("labels.json"), classes=["phone"], batch_size=2, num_workers=0,
        image_size=(32, 32), split=Split(valid=0.5, check_bytes=False),
    )  # fmt: skip
    assert examine(DetectionLoader(RunContext(), settings).samples).identical == [names]
