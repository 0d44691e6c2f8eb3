"""A file of crops beside drawn data."""

from __future__ import annotations

from pathlib import Path


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
