"""YOLO's text files: one for each picture, with a line `class cx cy w h` for each object.

The class is its number in a list of names that the files do not hold. Boxes are cxcywh, divided by the picture's width and
height, so the pictures are needed for reading and writing. Lines of other tasks are read as boxes, and counted: a polygon
`class x1 y1 x2 y2 x3 y3 …` as the box around it, a box with a confidence or with keypoints behind it as the box.
"""

from __future__ import annotations

import os
import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from base.base_reader import READERS
from base.detection.objects import objects_of, require_sizes
from base.table import SampleTable, some
from base.types import Names, Root
from data_loader.detection.formats.annotations import Annotations, Invalid, Unannotated
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.pattern_reader import files_below, find_images
from data_loader.formats.repairs import Repair
from data_loader.pictures.image_header import header_sizes
from utils.config import did_you_mean
from utils.errors import UserError

CLASS_LISTS = ("classes.txt", "labels.txt", "obj.names")  # lists of class names that tools put beside the label files
_CLASS = re.compile(r"(\d{1,8})(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


@READERS.register()
class YoloReader(ObjectReader):
    """A text file for each picture, with a line `class cx cy w h` for each object, in shares of the picture's size."""

    def __init__(
        self,
        labels: Annotated[
            str, Field(description="folder of the text files below the data folder, with the same folders in it as `root`")
        ],
        names: Annotated[
            Names | str,
            Field(
                description="the class names, in the order of their numbers in the text files; or the file below the data folder "
                "that has them: data.yaml, or a text file with a name a line"
            ),
        ],
        root: Root = ".",
        invalid: Invalid = "error",
        unannotated: Unannotated = "background",
    ) -> None:
        self.labels, self.given, self.root, self.invalid, self.trust_sizes = labels, names, root, invalid, False
        self.unannotated = unannotated

    def parse(self, data_dir: Path) -> Annotations:
        """Return the images in order of path."""
        folder, root = data_dir / self.labels, data_dir / self.root
        names = read_names(data_dir / self.given) if isinstance(self.given, str) else self.given
        if not folder.is_dir():
            raise UserError(f"{folder}: is no folder; reader.args.labels names that of the text files")
        found, paths = Annotations(), find_images(root)
        lines, sizes = array("i"), header_sizes([f"{root}/{path}" for path in paths])

        def where(image: int, item: int | None) -> str:
            label = folder / label_name(found.ids[image])
            return f"{label}: line {lines[item]}" if item is not None else str(label)

        found.where = where
        labels = _Labels(folder, root, paths, found)
        for path, size in zip(paths, sizes, strict=True):
            image, label = found.add_image(path), labels.of(path)
            if label is None:
                found.unannotated.append(image)
                continue
            if isinstance(size, str):  # the picture cannot be read; the decoder refuses or skips it
                continue
            for number, text in _lines(folder / label, found.problems):
                problem = _add(found, image, text.split(), names, *size)
                if problem:
                    found.fault(partial("{}: line {}".format, folder / label, number), problem, path)
                else:
                    lines.append(number)
        return found


def _add(found: Annotations, image: int, fields: list[str], names: Sequence[str], height: int, width: int) -> str:
    """Add the object of a line; return the problem of the line, empty if there is none."""
    number = _CLASS.fullmatch(fields[0])
    if number is None or int(number[1]) >= len(names):
        return f"found class {some([fields[0]])}; allowed: 0 to {len(names) - 1}, the places in the list of names"
    if number[2]:
        found.repairs.append(Repair(found.ids[image], "classes written as 0.0, read as 0"))
    odd = [field for field in fields[1:] if not _NUMBER.fullmatch(field)]
    if odd:
        return f"found {some(odd)}; allowed: numbers"
    box, other = _box([float(field) for field in fields[1:]])
    if box is None:
        return f"has {len(fields)} fields; needed are 5: class cx cy w h"
    if other:
        found.repairs.append(Repair(found.ids[image], other))
    found.add_object(image, names[int(number[1])], (box[0] * width, box[1] * height, box[2] * width, box[3] * height))
    return ""


def _box(values: Sequence[float]) -> tuple[tuple[float, float, float, float] | None, str]:
    """Return the box xyxy of the numbers of a line, in shares of the picture, and the kind of line if it is no plain box.

    None if the numbers are those of no task.
    """
    others = len(values) - 4
    if others > 1 and others % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        return (min(xs), min(ys), max(xs), max(ys)), "polygons read as the box around them"
    kind = {0: "", 1: "confidences behind a box, not read"}.get(others, "keypoints behind a box, not read")
    if others < 0 or (others == 1 and not 0 <= values[4] <= 1) or (others > 1 and others % 3):
        return None, ""
    cx, cy, w, h = values[:4]
    return (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), kind


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


class _Labels:
    """The text files of a folder, by their pictures; problems and files without a picture are noted."""

    def __init__(self, folder: Path, root: Path, paths: Sequence[str], found: Annotations) -> None:
        self.files = {name for name in files_below(folder) if name.endswith(".txt")}
        pictures: dict[str, str] = {}
        for path in paths:
            name = label_name(path)
            if pictures.setdefault(name, path) != path:
                found.problems.append(f"{folder / name}: belongs to two images, {pictures[name]} and {path}; rename one")
        left = sorted(name for name in self.files - set(pictures) if os.path.basename(name) not in CLASS_LISTS)
        by_form = {_form(name): name for name in left}
        self.other = {name: by_form[_form(name)] for name in set(pictures) - self.files if _form(name) in by_form}
        orphans = [name for name in left if name not in self.other.values()]
        found.repairs += [Repair(name, "text files found in another case or Unicode form") for name in self.other.values()]
        found.repairs += [Repair(name, "text files without a picture left out") for name in orphans]
        if orphans and not self.other and not self.files & set(pictures):
            found.problems.append(f"{folder}: none of its {len(left)} text files ({some(left)}) is named like an image in {root}")

    def of(self, path: str) -> str | None:
        """Return the text file of a picture; None if there is none."""
        name = label_name(path)
        return self.other.get(name) if name not in self.files else name


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def read_names(path: Path) -> list[str]:
    """Return class names in the order of their numbers: those of a data.yaml, or one on each line of a text file.

    Raises UserError for an empty or repeated name, and for a file that cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    names = _of_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else [line.strip() for line in text.splitlines()]
    while names and not names[-1]:
        names.pop()
    bad = [f"line {number}" for number, name in enumerate(names, 1) if not name or names.index(name) < number - 1]
    if bad or not names:
        raise UserError(f"{path}: {some(bad) or 'is empty'}; needed is a class name a line, each once, in order of their numbers")
    return names


def _of_yaml(path: Path, text: str) -> list[str]:
    """Return the names of a data.yaml: a list, or numbers from 0 with a name each."""
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is no YAML ({' '.join(str(error).split())[:100]})") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and sorted(map(str, names)) == sorted(map(str, range(len(names)))):
        names = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: names: is no list of class names, and no numbers from 0 with a name each")
    return [str(name).strip() for name in names]


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
