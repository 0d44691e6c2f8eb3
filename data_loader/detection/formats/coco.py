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
from data_loader.detection.formats.annotations import Annotations, Invalid, Unannotated
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.json_stream import JsonFile, Member, as_integer, integer_problem, numbers_problem, text_problem
from data_loader.formats.repairs import Repair
from utils import files
from utils.errors import UserError

Id = int | str
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
        unannotated: Unannotated = "leave_out",
    ) -> None:
        self.file, self.root, self.invalid, self.trust_sizes = file, root, invalid, trust_sizes
        self.unannotated = unannotated

    @classmethod
    def columns(cls, args: Any) -> set[str]:
        """Return the columns of every reader of boxes, and `image_id`."""
        return super().columns(args) | {"image_id"}

    def parse(self, data_dir: Path) -> Annotations:
        """Return the images in the order of the file."""
        return _Coco(JsonFile(data_dir / self.file)).found

    def read_objects(self, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """Return the samples like `read`; objects whose class is not in `classes` are refused with file and line, or dropped."""
        coco = _Coco(JsonFile(data_dir / self.file))
        table = self.finished(coco.found, data_dir, classes)
        free = max((number for number in coco.image_ids if isinstance(number, int)), default=0) + 1
        others = range(free, free + len(coco.found.ids) - len(coco.image_ids))  # images without an entry
        numbers = dict(zip(coco.found.ids, [*coco.image_ids, *others], strict=True))
        used = sorted(coco.categories.items(), key=lambda item: item[0] in coco.used)  # of two with one name the used one is last
        if all(isinstance(number, int) for number in coco.categories):
            categories = pa.table({"id": [number for number, _ in used], "name": [name for _, name in used]})
            table = SampleTable(table.root, table.columns, {**table.related, "categories": categories})
        texts = any(isinstance(number, str) for number in coco.image_ids)
        column = [str(numbers[name]) if texts else numbers[name] for name in table.ids()]
        return table.with_column("image_id", pa.array(column, pa.string() if texts else pa.int64()))


class _Coco:
    """The three lists of a COCO file, in any order."""

    def __init__(self, file: JsonFile) -> None:
        self.file, self.found = file, Annotations()
        self.categories: dict[Id, str] = {}
        self.used: set[Id] = set()  # categories of some annotation
        self.image_ids: list[Id] = []
        self._image_starts = array("q")
        self._items: dict[str, list[Any]] = {name: [] for name in ("image", "category", "start", "number")}
        self._boxes = array("d")
        self._added = array("q")  # index in `_items` of each object
        self.found.where = self._where
        seen = {member.key for member in file.members() if self._take(member)}
        missing = [name for name in LISTS if name not in seen and (name != "annotations" or self._items["image"])]
        if missing and not self.found.problems:
            file.refuse_other_format()
            self.found.problems.append(f"{file.path}: {some(missing)}: missing or empty; COCO has lists of {some(LISTS)}")
        self._join()

    def _take(self, member: Member) -> bool:
        if member.key not in LISTS:
            return False
        place = f"{member.key}[{member.number}]" if member.number >= 0 else member.key
        if member.number < 0 and isinstance(member.value, dict):
            self.found.repairs.append(Repair("", "lists written as an object"))
            entries = [member.value] if "id" in member.value else list(member.value.values())
            return any([self._take(Member(member.key, place, member.start, entry)) for place, entry in enumerate(entries)])
        if not isinstance(member.value, dict):
            problems = ["needed is a list of objects"]
        else:
            take = {"images": self._image, "annotations": self._annotation, "categories": self._category}[member.key]
            problems = list(take(member))
        for problem in problems:
            where = partial(self.file.at, member.start)
            if member.key == "annotations" and isinstance(member.value, dict):
                self.found.fault(where, f"{place}: {problem}")
            else:
                self.found.note(where, f"{place}: {problem}")
        return True

    def _image(self, member: Member) -> Iterator[str]:
        entry = member.value
        sizes = [entry.get(side) or 0 for side in ("height", "width")]
        problems = [_id_problem(entry.get("id"), "id"), text_problem(entry.get("file_name"), "file_name")]
        problems += [integer_problem(value, side, 0) for side, value in zip(("height", "width"), sizes, strict=True)]
        whole = [as_integer(size) or 0 for size in sizes]
        if not any(problems) and max(whole) >= 2**31:
            problems.append("width and height: too large")
        if any(problems):
            yield from filter(None, problems)
            return
        self.found.add_image(entry["file_name"], *(whole if all(whole) else (0, 0)))
        self.found.count_texts(sizes, entry["file_name"])
        self.image_ids.append(_as_id(entry["id"]))
        self._image_starts.append(member.start)

    def _category(self, member: Member) -> Iterator[str]:
        entry = member.value
        problems = [_id_problem(entry.get("id"), "id"), text_problem(entry.get("name"), "name")]
        if not any(problems) and self.categories.get(_as_id(entry["id"]), entry["name"]) != entry["name"]:
            problems.append(f"id {entry['id']} is given twice, for {self.categories[_as_id(entry['id'])]} and {entry['name']}")
        yield from filter(None, problems)
        if not any(problems):
            if entry["name"] in self.categories.values():
                self.found.repairs.append(Repair("", f"categories that are named twice ({entry['name']})"))
            self.categories[_as_id(entry["id"])] = entry["name"]

    def _annotation(self, member: Member) -> Iterator[str]:
        entry = member.value
        crowd = as_integer(entry.get("iscrowd") or 0) if entry.get("iscrowd") is not True else 1
        problems = [_id_problem(entry.get(key), key) for key in ("image_id", "category_id")]
        if crowd not in (0, 1):
            problems.append("iscrowd: allowed are 0 and 1")
        box = entry.get("bbox")
        if not any(problems) and not box and not crowd:
            box = _box_around(entry.get("segmentation"))
            what = "annotations without a bbox " + ("left out" if box is None else "read as the box around their segmentation")
            self.found.repairs.append(Repair("", what))
            if box is None:
                return
        if not crowd:
            problems.append(numbers_problem(box, 4, "bbox"))
        if any(problems):
            yield from filter(None, problems)
        elif crowd:
            self.found.repairs.append(Repair("", "crowd regions left out, which are no boxes of one object"))
        else:
            values = (_as_id(entry["image_id"]), _as_id(entry["category_id"]), member.start, member.number)
            for key, value in zip(self._items, values, strict=True):
                self._items[key].append(value)
            self.found.count_texts(box, "")
            self._boxes.extend(map(float, box))

    def _join(self) -> None:
        images: dict[Id, int] = {}
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
                self.used.add(category_id)
            elif image_id in images and complete:  # otherwise the number may belong to an entry that could not be read
                text = f"annotations[{index}]: category_id {category_id} is in no list"
                self.found.fault(partial(self.file.at, start), text, self.found.ids[images[image_id]], "objects of no category")
            elif complete:
                self.found.repairs.append(Repair("", "annotations of no image in the file left out"))
        if complete and self._items["image"] and images and not set(self._items["image"]) & set(images):
            self.found.problems.append(f"{self.file.path}: annotations: no image_id is the id of an image")

    def _where(self, image: int, item: int | None) -> str:
        if item is None:
            return f"{self.file.at(self._image_starts[image])}: images[{image}] ({self.found.ids[image]})"
        place = self._added[item]
        return (
            f"{self.file.at(self._items['start'][place])}: annotations[{self._items['number'][place]}] ({self.found.ids[image]})"
        )


def _id_problem(value: Any, what: str) -> str:
    """Return the problem of an id, which is a whole number or a text."""
    return "" if not integer_problem(value, what) or not text_problem(value, what) else integer_problem(value, what)


def _as_id(value: Any) -> Id:
    """Return an id as a number if it is one, however it is written: 1, 1.0 and "1" are one id; else its text."""
    number = as_integer(value)
    return str(value) if number is None else number


def _box_around(segmentation: Any) -> list[float] | None:
    """Return the box [x, y, width, height] around polygons or a mask of run lengths; None if there are none that can be read."""
    if isinstance(segmentation, dict):
        return _box_of_runs(segmentation.get("counts"), segmentation.get("size"))
    parts = segmentation if isinstance(segmentation, list) else []
    good = [part for part in parts if isinstance(part, list) and len(part) >= 6 and not numbers_problem(part, len(part), "")]
    xs, ys = ([float(value) for part in good for value in part[start::2]] for start in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if good and len(xs) == len(ys) else None


def _box_of_runs(counts: Any, size: Any) -> list[float] | None:
    """Return the box around a mask. counts: lengths of runs of 0 and 1 down the columns. size: height and width."""
    if not isinstance(counts, list) or numbers_problem(size, 2, "") or numbers_problem(counts, len(counts), ""):
        return None
    height, width = (int(float(side)) for side in size)
    ends = np.cumsum([int(float(count)) for count in counts])
    if not 0 < height * width < 2**28 or len(ends) < 2 or ends[-1] > height * width:
        return None
    mask = np.zeros(height * width, bool)
    for start, stop in zip(ends[0::2], ends[1::2], strict=False):
        mask[start:stop] = True
    columns, rows = np.nonzero(mask.reshape(width, height))
    if not len(rows):
        return None
    x, y = int(columns.min()), int(rows.min())
    return [float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)]


def image_numbers(table: SampleTable) -> list[Any]:
    """Return the ids of the images in a COCO file: the ids they were read with, or else from 1 in order of the table."""
    return table.columns["image_id"].to_pylist() if "image_id" in table.names else list(range(1, len(table) + 1))


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
    of_image, categories = [numbers[row] for row in objects.owners.tolist()], (labels + 1).tolist()
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
