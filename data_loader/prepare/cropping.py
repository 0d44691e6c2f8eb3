"""The crop box of every picture of a data set: given boxes first, then croppers in their order."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from base.table import SampleTable, some
from data_loader.crop.croppers import BaseCropper, Look, look
from data_loader.crop.crops import FOUND, HEADER, BoxFile, Crops, fit, relative
from data_loader.pictures.decode import Box, ImageError, cut, read_image
from utils import files
from utils.errors import UserError
from utils.files import WriteError

WHOLE = "whole"  # value of the column found_by for a picture without a box
AT_ONCE = 64  # largest number of whole pictures that wait in memory
QUALITY = 95  # quality of a written JPEG, in 0..100


class Line(NamedTuple):
    """A line of a box file."""

    path: str
    box: Box
    found_by: str
    confidence: str


class Seen(NamedTuple):
    """The result for one picture."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    line: Line
    look: Look | None  # None if the box was given
    clipped: bool


@dataclass
class Cropping:
    """Find the box of each picture. problems: problems of given boxes, added by `see`."""

    data_dir: Path
    given: Sequence[BoxFile]
    croppers: Sequence[BaseCropper]
    crops: Crops
    problems: list[str] = field(default_factory=list)

    def see_all(self, tables: Sequence[SampleTable]) -> Iterator[Seen | str]:
        """Yield for every picture of the tables, each once, its result, or the reason why it cannot be read."""
        pictures = list({table.path(row): table.root for table in tables for row in range(len(table))}.items())
        bar = tqdm(total=len(pictures), desc="cropping", unit="image", disable=None, leave=False)
        with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
            for start in range(0, len(pictures), AT_ONCE):
                for seen in pool.map(lambda item: self.see(*item), pictures[start : start + AT_ONCE]):
                    bar.update()
                    yield seen

    def see(self, path: Path, root: Path) -> Seen | str:
        """Return the result for one picture, or the reason why it cannot be read. root: folder of the picture's reader."""
        name = relative(path, self.data_dir)
        try:
            image = read_image(path)
        except ImageError as error:
            return f"{some([name])} {error}"
        height, width = image.shape[:2]
        for file in self.given:
            listed = file.of(self.data_dir, path, root)
            if listed is not None:
                box, problem = fit(listed.box, (height, width), self.crops.outside)
                if box is None:
                    self.problems.append(f"{file.path}: line {listed.line}: {some([name])}: {problem}")
                line = Line(name, box or listed.box, listed.found_by or file.path.name, listed.confidence)
                return Seen(image, line, None, bool(problem))
        looked = look(image, self.croppers, self.crops.min_size)
        if looked.box is None:
            return Seen(image, Line(name, (0, 0, width, height), WHOLE, ""), looked, False)
        return Seen(image, Line(name, looked.box, looked.found_by, f"{looked.confidence:.4f}"), looked, False)


def write_boxes(path: Path, lines: Sequence[Line]) -> None:
    """Write the box file, in order of path. Raises WriteError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*HEADER, *FOUND])
    writer.writerows([line.path, *line.box, line.found_by, line.confidence] for line in sorted(lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, text.getvalue().encode())


@contextmanager
def new_folder(folder: Path | None) -> Iterator[Path | None]:
    """Yield a folder to write to that gets the name `folder` if the block succeeds; None if no folder is wanted."""
    if folder is None:
        yield None
        return
    try:
        with files.new_folder(folder) as partial:
            yield partial
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror or error})") from None


def write_picture(folder: Path, image: np.ndarray, line: Line, crops: Crops) -> None:
    """Write the picture as it is cut, with margin, at its path below the data folder.

    image: (H, W, 3) uint8 RGB. Raises UserError for a path outside the data folder, or a format that cannot be written.
    """
    if os.path.isabs(line.path):
        raise UserError(f"--write: {some([line.path])} is not below the data folder, so there is no place for it in the new one")
    part = cut(image, crops.around(line.box, (image.shape[0], image.shape[1])))
    place = folder / line.path
    try:
        _, encoded = cv2.imencode(place.suffix, np.ascontiguousarray(part[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except cv2.error:
        raise UserError(
            f"--write: {some([line.path])}: pictures cannot be written as {place.suffix or 'files of no kind'}"
        ) from None
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(encoded.tobytes())
