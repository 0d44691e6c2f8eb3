"""YOLO's text files: one for each picture, with a line `class cx cy w h` for each object.

The class is its number in a list of names that the files do not hold. Boxes are cxcywh, divided by the picture's width and
height, so the pictures are needed for reading and writing. A picture without a text file has no objects.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from base.base_reader import READERS
from base.detection.objects import objects_of, require_sizes
from base.table import SampleTable, some
from base.types import Names, Root
from data_loader.detection.formats.found import Found, Invalid
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.pattern_reader import find_images
from data_loader.pictures.image_header import header_sizes
from utils.config import did_you_mean
from utils.errors import UserError

CLASS_LISTS = ("classes.txt", "labels.txt", "obj.names")  # lists of class names that tools put beside the label files
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


@READERS.register()
class YoloReader(ObjectReader):
    """A text file for each picture, with a line `class cx cy w h` for each object, in shares of the picture's size."""

    def __init__(
        self,
        labels: Annotated[
            str, Field(description="folder of the text files below the data folder, with the same folders in it as `root`")
        ],
        names: Annotated[Names, Field(description="the class names, in the order of their numbers in the text files")],
        root: Root = ".",
        invalid: Annotated[
            Invalid,
            Field(
                description="what to do about boxes outside their picture, of no area or of unknown class: refuse "
                "all of them by line, or clip and leave out with a report"
            ),
        ] = "error",
    ) -> None:
        self.labels, self.names, self.root, self.invalid, self.trust_sizes = labels, names, root, invalid, False

    def parse(self, data_dir: Path) -> Found:
        """Return the images in order of path."""
        folder, root = data_dir / self.labels, data_dir / self.root
        if not folder.is_dir():
            raise UserError(f"{folder}: is no folder; reader.args.labels names that of the text files")
        found, paths = Found(), find_images(root)
        lines, sizes = array("i"), header_sizes([f"{root}/{path}" for path in paths])

        def where(image: int, item: int | None) -> str:
            label = folder / label_name(found.ids[image])
            return f"{label}: line {lines[item]}" if item is not None else str(label)

        found.where = where
        found.problems += _unpaired(folder, root, paths)
        for path, size in zip(paths, sizes, strict=True):
            image = found.add_image(path)
            label = folder / label_name(path)
            if isinstance(size, str):  # the picture cannot be read; the decoder refuses or skips it
                continue
            for number, text in _lines(label, found.problems):
                problem = self._add(found, image, text.split(), *size)
                if problem:
                    found.problems.append(f"{label}: line {number}: {problem}")
                else:
                    lines.append(number)
        return found

    def _add(self, found: Found, image: int, fields: list[str], height: int, width: int) -> str:
        """Add the object of a line; return the problem of the line, empty if there is none."""
        if len(fields) != 5:
            return f"has {len(fields)} fields; needed are 5: class cx cy w h"
        if not (fields[0].isascii() and fields[0].isdecimal() and len(fields[0]) < 9 and int(fields[0]) < len(self.names)):
            return f"found class {some([fields[0]])}; allowed: 0 to {len(self.names) - 1}, the places in the list of names"
        odd = [field for field in fields[1:] if not _NUMBER.fullmatch(field)]
        if odd:
            return f"found {some(odd)}; allowed: numbers"
        cx, cy, w, h = map(float, fields[1:])
        box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
        found.add_object(image, self.names[int(fields[0])], box)
        return ""


def label_name(path: str) -> str:
    """Return the path of a picture's text file, relative like the picture's path."""
    return f"{os.path.splitext(path)[0]}.txt"


def _lines(label: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers; nothing if there is no file."""
    try:
        text = label.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(f"{label}: cannot be read ({error.strerror})")
        return
    except UnicodeDecodeError as error:
        problems.append(f"{label}: is not UTF-8 text (byte {error.start})")
        return
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _unpaired(folder: Path, root: Path, paths: Sequence[str]) -> Iterator[str]:
    """Yield a message for each text file without a picture, and for pictures that would share a text file."""
    pictures: dict[str, str] = {}
    for path in paths:
        name = label_name(path)
        if pictures.setdefault(name, path) != path:
            yield f"{folder / name}: belongs to two images, {pictures[name]} and {path}; rename one"
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        for name in sorted(names):
            relative = name if below == "." else f"{below}/{name}"
            if name.endswith(".txt") and relative not in pictures and name not in CLASS_LISTS:
                yield f"{folder / relative}: there is no image of this name in {root}"


def read_names(path: Path) -> list[str]:
    """Return class names, one on each line in the order of their numbers.

    Raises UserError for an empty or repeated name, and for a file that cannot be read.
    """
    try:
        names = [line.strip() for line in path.read_bytes().decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    while names and not names[-1]:
        names.pop()
    bad = [f"line {number}" for number, name in enumerate(names, 1) if not name or names.index(name) < number - 1]
    if bad or not names:
        raise UserError(f"{path}: {some(bad) or 'is empty'}; needed is a class name a line, each once, in order of their numbers")
    return names


def write(table: SampleTable, folder: Path, names: Sequence[str]) -> None:
    """Write a text file for each image into an existing folder; an image without objects gets an empty file.

    Numbers have twelve digits, enough for a millionth of a pixel. Raises UserError, and writes nothing, if a class is not
    among `names`, the size of a picture is not known, or two pictures would share a file.
    """
    objects = objects_of(table)
    unknown = [name for code, name in enumerate(objects.names) if name not in names and (objects.codes == code).any()]
    if unknown:
        near = did_you_mean(unknown[0], names)
        raise UserError(f"{some(unknown)}: classes without a number{near}; the names are: {', '.join(names)}")
    require_sizes(table)
    paths = [label_name(path) for path in table.paths()]
    if len(set(paths)) < len(paths):
        raise UserError("YOLO's text files are named after the images, and two images differ in their suffix only")
    sizes = [table.numbers(side).astype(float)[objects.owners] for side in ("width", "height")]
    x1, y1, x2, y2 = objects.boxes.T
    columns = ((x1 + x2) / 2 / sizes[0], (y1 + y2) / 2 / sizes[1], (x2 - x1) / sizes[0], (y2 - y1) / sizes[1])
    numbers = objects.labels(names).tolist()
    shares = zip(*(column.tolist() for column in columns), strict=True)
    lines = [
        "{} {:.12g} {:.12g} {:.12g} {:.12g}\n".format(*line) for line in ((n, *s) for n, s in zip(numbers, shares, strict=True))
    ]
    ends = objects.ends.tolist()
    made: set[str] = set()
    for row, path in enumerate(paths):
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(folder / parent, exist_ok=True)
            made.add(parent)
        with open(f"{folder}/{path}", "w", encoding="ascii", newline="") as file:
            file.write("".join(lines[ends[row] : ends[row + 1]]))
