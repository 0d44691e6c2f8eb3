"""Files that examples of other formats want beside the drawn data."""

from __future__ import annotations

from pathlib import Path

NAMES = ["eye_opened", "eye_closed", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]


def add_formats(folder: Path) -> None:
    """Beside `train/labels.json`, as `write_drivers` made it: `train/yolo/`, `train/voc/` and `train/coco.json`."""
    from data_loader.detection.formats import coco, voc, yolo
    from data_loader.detection.formats.competition_json import CompetitionJsonReader

    table = CompetitionJsonReader("train/labels.json", "train/images").read(folder)
    for name in ("yolo", "voc"):
        (folder / "train" / name).mkdir()
    yolo.write(table, folder / "train" / "yolo", NAMES)
    voc.write(table, folder / "train" / "voc")
    coco.write(table, folder / "train" / "coco.json", NAMES)
