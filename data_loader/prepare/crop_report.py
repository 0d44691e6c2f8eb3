"""Report of cropping: how often each cropper found one, several, too small or no boxes, and pictures of each outcome."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from base.table import some
from data_loader.crop.croppers import OUTCOMES
from data_loader.pictures.decode import Box, resize
from data_loader.pictures.letterbox import blank, centred
from data_loader.prepare.cropping import WHOLE, Seen
from utils import files

SIDE, COLUMNS, SHOWN = 128, 8, 40  # pixels of a thumbnail, thumbnails in a row, largest number of thumbnails in a sheet
CUT = (255, 64, 32)


@dataclass
class CropReport:
    """Counts and thumbnails, added picture by picture."""

    found_by: Counter[str] = field(default_factory=Counter)  # cropper, file or WHOLE -> pictures
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # cropper -> outcome -> pictures
    thumbnails: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))  # sheet -> (SIDE, SIDE, 3) uint8
    unreadable: list[str] = field(default_factory=list)  # with the reason
    clipped: int = 0

    def add(self, seen: Seen) -> None:
        """Count a picture, and keep its thumbnail if the sheet has room."""
        asked = seen.look.outcomes if seen.look is not None else []
        self.found_by[seen.line.found_by] += 1
        self.clipped += seen.clipped
        for name, outcome in asked:
            self.outcomes[name][outcome] += 1
        sheets = [f"{name}-{outcome.replace(' ', '-')}" for name, outcome in asked] or ["given"]
        for sheet in [*sheets, *([WHOLE] if seen.line.found_by == WHOLE else [])]:
            if len(self.thumbnails[sheet]) < SHOWN:
                self.thumbnails[sheet].append(_thumbnail(seen.image, seen.line.box))

    def lines(self) -> Iterator[str]:
        """Yield the lines for the user: the outcomes of each cropper, then the sources of the boxes."""
        for name, counts in self.outcomes.items():
            said = ", ".join(f"{outcome} {counts[outcome]:,}" for outcome in OUTCOMES)
            yield f"{name:>24}  asked for {counts.total():,}: {said}"
        yield "boxes from " + ", ".join(f"{name} {number:,}" for name, number in self.found_by.most_common())
        if self.clipped:
            yield f"{self.clipped:,} given boxes were clipped to their picture"
        if self.unreadable:
            yield f"warning: {len(self.unreadable):,} pictures cannot be read and have no box ({some(self.unreadable)})"

    def write(self, folder: Path) -> list[Path]:
        """Write a sheet for each outcome of each cropper, in place of the sheets of an earlier report. Raises WriteError."""
        with files.explaining(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*.png"):
                old.unlink()
        return [_write_sheet(folder / f"{name}.png", pictures) for name, pictures in sorted(self.thumbnails.items())]


def _thumbnail(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the picture with its box drawn, (SIDE, SIDE, 3) uint8."""
    placement = centred((image.shape[0], image.shape[1]), (SIDE, SIDE))
    (height, width), top, left = placement.size, placement.top, placement.left
    canvas = blank((SIDE, SIDE))
    canvas[top : top + height, left : left + width] = resize(image, placement.size)
    x1, y1, x2, y2 = placement.into(np.array([box]))[0].round().astype(int).tolist()
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), CUT, 2)
    return canvas


def _write_sheet(path: Path, pictures: list[np.ndarray]) -> Path:
    rows = -(-len(pictures) // COLUMNS)
    filled = [*pictures, *[blank((SIDE, SIDE))] * (rows * COLUMNS - len(pictures))]
    sheet = np.vstack([np.hstack(filled[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(rows)])
    files.write_bytes(path, cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))[1].tobytes())
    return path
