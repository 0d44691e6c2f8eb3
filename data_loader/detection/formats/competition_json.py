"""The competition's JSON: a list of images, each with its objects.

    {"annotations": [{"file_name": "a.jpg", "objects": [{"class": "phone", "position": [x1, y1, x2, y2]}]}]}

Positions are xyxy in absolute pixels of the picture. Sizes are not given.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from base.base_reader import READERS
from base.detection.objects import objects_of, rounded
from base.table import SampleTable
from base.types import JsonPath, Root
from data_loader.detection.formats.annotations import Annotations, Invalid, Unannotated, refuse
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.json_stream import JsonFile, Member, numbers_problem, text_problem
from utils import files

KEY = "annotations"


@READERS.register()
class CompetitionJsonReader(ObjectReader):
    """One JSON file with the file name of each image, and for each object its class and position [x1, y1, x2, y2] in pixels."""

    def __init__(
        self,
        file: JsonPath,
        root: Root = ".",
        invalid: Invalid = "error",
        unannotated: Unannotated = "leave_out",
    ) -> None:
        self.file, self.root, self.invalid, self.trust_sizes = file, root, invalid, False
        self.unannotated = unannotated

    def parse(self, data_dir: Path) -> Annotations:
        """Return the images in the order of the file."""
        return parse(JsonFile(data_dir / self.file))


def parse(file: JsonFile) -> Annotations:
    """Return the images and objects of the file; positions xyxy in absolute pixels."""
    found = Annotations()
    starts, numbers, elements = array("q"), array("q"), array("i")  # place and number of each image; number of each object

    def where(image: int, item: int | None) -> str:
        place, below = starts[image], f"{KEY}[{numbers[image]}]"
        if item is not None:
            place, below = file.locate(place, "objects", elements[item]), f"{below}.objects[{elements[item]}]"
        return f"{file.at(place)}: {below} ({found.ids[image]})"

    found.where = where
    for member in file.members():
        if member.key != KEY:
            continue
        problems = list(_entry_problems(member))
        for problem in problems:
            found.note(partial(file.at, member.start), problem)
        if problems:
            continue
        name = member.value["file_name"]
        image = found.add_image(name)
        starts.append(member.start)
        numbers.append(member.number)
        for number, item in enumerate(member.value["objects"]):
            for problem in _object_problems(item):
                below = f"{KEY}[{member.number}].objects[{number}]"
                found.fault(partial(file.at, file.locate(member.start, "objects", number)), f"{below}: {problem}", name)
                break
            else:
                found.add_object(image, item["class"], list(map(float, item["position"])))
                found.count_texts(item["position"], name)
                elements.append(number)
    if not found.ids and not found.problems:
        file.refuse_other_format()
        found.problems.append(f"{file.path}: {KEY}: is missing or empty; needed is a list of images")
    return found


def listed_images(path: Path) -> list[str]:
    """Return the file names in the order of the file, repeated ones too. Raises UserError with all wrong entries."""
    found = parse(JsonFile(path))
    refuse(found.problems, iter(()), len(found.problems))
    return found.ids


def _entry_problems(member: Member) -> Iterator[str]:
    place, entry = f"{KEY}[{member.number}]" if member.number >= 0 else KEY, member.value
    if member.number < 0 or not isinstance(entry, dict):
        yield f'{place}: needed is an object with "file_name" and "objects"'
        return
    if problem := text_problem(entry.get("file_name"), "file_name"):
        yield f"{place}: {problem}"
    objects = entry.get("objects")
    if not isinstance(objects, list):
        yield f"{place}: objects: is no list; an image without objects has []"


def _object_problems(item: Any) -> Iterator[str]:
    if not isinstance(item, dict):
        yield 'needed is an object with "class" and "position"'
        return
    yield from filter(None, (text_problem(item.get("class"), "class"), numbers_problem(item.get("position"), 4, "position")))


def write(table: SampleTable, path: Path) -> None:
    """Write a table at `path`, atomically; positions xyxy in absolute pixels, to a millionth."""
    objects = objects_of(table)
    boxes, names = rounded(objects.boxes).tolist(), [objects.names[code] for code in objects.codes.tolist()]
    ends = objects.ends.tolist()

    def fill(file: Any) -> None:
        file.write(b'{"annotations": [')
        for row, name in enumerate(table.ids()):
            of_row = range(ends[row], ends[row + 1])
            entry = {"file_name": name, "objects": [{"class": names[item], "position": boxes[item]} for item in of_row]}
            file.write((",\n" if row else "\n").encode() + json.dumps(entry, ensure_ascii=False).encode())
        file.write(b"\n]}\n")

    files.write_atomically(path, fill)
