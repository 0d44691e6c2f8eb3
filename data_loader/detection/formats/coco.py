"""COCO's JSON: lists of images, annotations and categories that refer to each other by number.

Boxes are xywh in absolute pixels: the upper left corner, width and height. Crowd regions (iscrowd) are not boxes of single
objects; they are left out and counted. The numbers of images become the column `image_id`, the numbers of classes the related
table `categories` (id, name).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from base.base_reader import READERS
from base.detection.objects import objects_of, require_sizes, rounded
from base.table import SampleTable, some
from base.types import JsonPath
from data_loader.detection.formats.found import Found, Invalid, finish
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.json_stream import JsonFile, Member, integer_problem, numbers_problem, text_problem
from data_loader.formats.repairs import Repair
from utils import files
from utils.errors import UserError

LISTS = ("images", "annotations", "categories")


@READERS.register()
class CocoReader(ObjectReader):
    """One JSON file with images, categories, and annotations whose `bbox` is [x, y, width, height] in pixels."""

    def __init__(
        self,
        file: JsonPath,
        root: Annotated[
            str, Field(description="folder of the images below the data folder, to which `file_name` is relative")
        ] = ".",
        invalid: Invalid = "error",
        trust_sizes: Annotated[
            bool, Field(description="take the sizes in the file, without looking at the pictures' own")
        ] = False,
    ) -> None:
        self.file, self.root, self.invalid, self.trust_sizes = file, root, invalid, trust_sizes

    @classmethod
    def columns(cls, args: Any) -> set[str]:
        """Return the columns of every reader of boxes, and `image_id`."""
        return super().columns(args) | {"image_id"}

    def parse(self, data_dir: Path) -> Found:
        """Return the images in the order of the file."""
        return _Coco(JsonFile(data_dir / self.file)).found

    def read_objects(self, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """Return the samples like `read`; objects whose class is not in `classes` are refused with file and line, or dropped."""
        coco = _Coco(JsonFile(data_dir / self.file))
        table = finish(coco.found, data_dir / self.root, classes, self.invalid, self.trust_sizes)
        numbers = {name: number for number, name in zip(coco.image_ids, coco.found.ids, strict=True)}
        categories = {"id": list(coco.categories), "name": list(coco.categories.values())}
        table = SampleTable(table.root, table.columns, {**table.related, "categories": pa.table(categories)})
        return table.with_column("image_id", pa.array([numbers[name] for name in table.ids()], pa.int64()))


class _Coco:
    """The three lists of a COCO file, in any order."""

    def __init__(self, file: JsonFile) -> None:
        self.file, self.found = file, Found()
        self.categories: dict[int, str] = {}
        self.image_ids, self._image_starts = array("q"), array("q")
        self._items: dict[str, array[Any]] = {name: array("q") for name in ("image", "category", "start", "number")}
        self._boxes = array("d")
        self._added = array("q")  # index in `_items` of each object
        self.found.where = self._where
        seen = {member.key for member in file.members() if self._take(member)}
        missing = [name for name in LISTS if name not in seen and (name != "annotations" or self._items["image"])]
        if missing and not self.found.problems:
            self.found.problems.append(f"{file.path}: {some(missing)}: missing or empty; COCO has lists of {some(LISTS)}")
        self._join()

    def _take(self, member: Member) -> bool:
        if member.key not in LISTS:
            return False
        place = f"{member.key}[{member.number}]" if member.number >= 0 else member.key
        if not isinstance(member.value, dict):
            problems = ["needed is a list of objects"]
        else:
            take = {"images": self._image, "annotations": self._annotation, "categories": self._category}[member.key]
            problems = list(take(member))
        for problem in problems:
            self.found.note(partial(self.file.at, member.start), f"{place}: {problem}")
        return True

    def _image(self, member: Member) -> Iterator[str]:
        entry = member.value
        sizes = [entry.get(side, 0) for side in ("height", "width")]
        problems = [integer_problem(entry.get("id"), "id"), text_problem(entry.get("file_name"), "file_name")]
        problems += [integer_problem(value, side, 0) for side, value in zip(("height", "width"), sizes, strict=True)]
        if not any(problems) and max(sizes) >= 2**31:
            problems.append("width and height: too large")
        if any(problems):
            yield from filter(None, problems)
            return
        self.found.add_image(entry["file_name"], *(sizes if all(sizes) else (0, 0)))
        self.image_ids.append(entry["id"])
        self._image_starts.append(member.start)

    def _category(self, member: Member) -> Iterator[str]:
        entry = member.value
        problems = [integer_problem(entry.get("id"), "id"), text_problem(entry.get("name"), "name")]
        if not any(problems) and entry["id"] in self.categories:
            problems.append(f"id {entry['id']} is given twice")
        if not any(problems) and entry["name"] in self.categories.values():
            problems.append(f'name "{entry["name"]}" is given twice')
        yield from filter(None, problems)
        if not any(problems):
            self.categories[entry["id"]] = entry["name"]

    def _annotation(self, member: Member) -> Iterator[str]:
        entry = member.value
        problems = [integer_problem(entry.get(key), key) for key in ("image_id", "category_id")]
        problems.append(numbers_problem(entry.get("bbox"), 4, "bbox"))
        if entry.get("iscrowd", 0) not in (0, 1):
            problems.append("iscrowd: allowed are 0 and 1")
        if any(problems):
            yield from filter(None, problems)
        elif entry.get("iscrowd", 0):
            self.found.repairs.append(Repair("", "crowd regions left out, which are no boxes of one object"))
        else:
            for key, value in zip(
                self._items, (entry["image_id"], entry["category_id"], member.start, member.number), strict=True
            ):
                self._items[key].append(value)
            self._boxes.extend(entry["bbox"])

    def _join(self) -> None:
        images: dict[int, int] = {}
        complete = not self.found.problems
        for image, number in enumerate(self.image_ids):
            if images.setdefault(number, image) != image:
                self.found.note(partial(self.file.at, self._image_starts[image]), f"images[{image}]: id {number} is given twice")
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        corners = rounded(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)).tolist()
        items = zip(*self._items.values(), corners, strict=True)
        for number, (image_id, category_id, start, index, box) in enumerate(items):
            if image_id in images and category_id in self.categories:
                self.found.add_object(images[image_id], self.categories[category_id], box)
                self._added.append(number)
                continue
            odd = f"image_id {image_id}" if image_id not in images else f"category_id {category_id}"
            if complete:  # otherwise the number may belong to an entry that could not be read
                self.found.note(partial(self.file.at, start), f"annotations[{index}]: {odd} is in no list")

    def _where(self, image: int, item: int | None) -> str:
        if item is None:
            return f"{self.file.at(self._image_starts[image])}: images[{image}] ({self.found.ids[image]})"
        place = self._added[item]
        return (
            f"{self.file.at(self._items['start'][place])}: annotations[{self._items['number'][place]}] ({self.found.ids[image]})"
        )


def image_numbers(table: SampleTable) -> list[int]:
    """Return the numbers of the images in a COCO file: the numbers they were read with, or else from 1 in order of the table."""
    return table.numbers("image_id").tolist() if "image_id" in table.names else list(range(1, len(table) + 1))


def write(table: SampleTable, path: Path, names: Sequence[str]) -> None:
    """Write a table at `path`, atomically; boxes xywh in absolute pixels, to a millionth.

    names: the categories, numbered from 1 in this order. Raises UserError if a class is not among them, or if the size of a
    picture is not known.
    """
    require_sizes(table)
    objects, labels = objects_of(table), objects_of(table).labels(names)
    if (labels < 0).any():
        raise UserError(
            f"{some(sorted(set(objects.names) - set(names)))}: classes without a number; the names are: {', '.join(names)}"
        )
    numbers, widths, heights = image_numbers(table), table.numbers("width").tolist(), table.numbers("height").tolist()
    corners = rounded(objects.boxes)
    boxes = rounded(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)).tolist()
    areas = rounded((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])).tolist()
    of_image, categories = np.asarray(numbers, np.int64)[objects.owners].tolist(), (labels + 1).tolist()
    images = (
        {"id": numbers[row], "file_name": name, "width": widths[row], "height": heights[row]}
        for row, name in enumerate(table.ids())
    )
    annotations = (
        {
            "id": item + 1,
            "image_id": of_image[item],
            "category_id": categories[item],
            "bbox": box,
            "area": areas[item],
            "iscrowd": 0,
        }
        for item, box in enumerate(boxes)
    )
    lists = {"images": images, "annotations": annotations, "categories": ({"id": n, "name": s} for n, s in enumerate(names, 1))}

    def fill(file: Any) -> None:
        for number, (key, entries) in enumerate(lists.items()):
            file.write((f'{"," if number else "{"}\n"{key}": [').encode())
            for index, entry in enumerate(entries):
                file.write((",\n" if index else "\n").encode() + json.dumps(entry, ensure_ascii=False).encode())
            file.write(b"\n]")
        file.write(b"\n}\n")

    files.write_atomically(path, fill)
