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


def add_boxes(folder: Path) -> None:
    """`boxes.csv`, for every picture below `folder` the box of its middle."""
    from data_loader.crop.crops import HEADER
    from data_loader.pictures.image_header import header_size

    lines = []
    for path in sorted(folder.rglob("*.jpg")):
        height, width = header_size(str(path))
        corners = (width // 8, height // 8, width - width // 8, height - height // 8)
        lines.append(",".join(map(str, (path.relative_to(folder).as_posix(), *corners))))
    (folder / "boxes.csv").write_text("\n".join([",".join(HEADER), *lines]) + "\n")
