"""Pascal VOC's XML: one file per picture.

    <annotation>
      <filename>a.jpg</filename> <size><width>480</width><height>360</height><depth>3</depth></size>
      <object> <name>phone</name> <bndbox><xmin>..</xmin><ymin>..</ymin><xmax>..</xmax><ymax>..</ymax></bndbox> </object>
    </annotation>

Boxes are xyxy in absolute pixels. In VOC's own files the first pixel has the number 1 and xmax, ymax are the last pixels
inside (devkit documentation), so that x1 = xmin - 1 and x2 = xmax in the convention of `base.detection.objects`. Many tools
write xmin = x1 instead; `first_pixel` selects the convention. Parts of objects and flags (difficult, truncated) are not read;
an object that has only a polygon gets the box around it.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np
from pydantic import Field

from base.base_reader import READERS
from base.detection.objects import DECIMALS, objects_of, require_sizes, rounded
from base.table import SampleTable, some
from data_loader.detection.formats.annotations import Annotations, Invalid, Unannotated
from data_loader.detection.formats.object_reader import ObjectReader
from data_loader.formats.repairs import Repair
from utils.errors import UserError

FirstPixel = Literal[0, 1]
MAX_BYTES = 20_000_000  # largest size of one file
_ENCODING = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)")
_WIDER = {
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "cp949": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "utf-8": "utf-8-sig",
}
_BARE_AND = re.compile(r"&(?!(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z]\w*);)")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@READERS.register()
class VocReader(ObjectReader):
    """An XML file for each picture, with name and corners (xmin, ymin, xmax, ymax) in pixels of each object."""

    def __init__(
        self,
        annotations: Annotated[
            str, Field(description="folder of the XML files below the data folder, which may be in folders of it")
        ],
        root: Annotated[
            str, Field(description="folder of the images below the data folder, to which `filename` in the XML is relative")
        ] = ".",
        first_pixel: Annotated[
            FirstPixel,
            Field(description="the number of the first pixel: 1 in files of the VOC challenge, 0 in the files of most tools"),
        ] = 1,
        invalid: Invalid = "error",
        trust_sizes: Annotated[
            bool, Field(description="take the sizes in the XML, without looking at the pictures' own")
        ] = False,
        unannotated: Unannotated = "leave_out",
    ) -> None:
        self.annotations, self.root, self.first_pixel = annotations, root, first_pixel
        self.invalid, self.trust_sizes, self.unannotated = invalid, trust_sizes, unannotated

    def parse(self, data_dir: Path) -> Annotations:
        """Return the images in the order of the XML files' names."""
        folder = data_dir / self.annotations
        paths = _xml_files(folder)
        if not paths:
            raise UserError(f"{folder}: is no folder with .xml files; reader.args.annotations names it")
        found = Annotations()
        sources, lines = array("i"), array("i")  # the file of each image, the line of each object

        def where(image: int, item: int | None) -> str:
            line = f"line {lines[item]}: " if item is not None else ""
            return f"{folder / paths[sources[image]]}: {line}{found.ids[image]}"

        found.where, found.id_is_path, found.advice = where, True, self._advice
        for number, path in enumerate(paths):
            entry = _Entry(folder / path, self.first_pixel)
            if entry.problems:
                found.problems += [f"{folder / path}: {problem}" for problem in entry.problems]
                continue
            image = found.add_image(entry.file_name, *entry.size, own=os.path.splitext(path)[0].replace(os.sep, "/"))
            sources.append(number)
            found.repairs += [Repair(path, what) for what in entry.repairs]
            for line, problem in entry.faults:
                found.fault(partial("{}: line {}".format, folder / path, line), problem, path)
            for name, box, line in entry.objects:
                found.add_object(image, name, box)
                lines.append(line)
        return found

    def _advice(self, box: np.ndarray) -> str:
        """Return the key that explains a box (4,) which begins one pixel before its picture."""
        if self.first_pixel == 0 or -1 not in box[:2]:
            return ""
        return "; its xmin or ymin is 0, so these files count pixels from 0: set reader.args.first_pixel to 0"


class _Entry:
    """One XML file. A document type is not looked up, and entities are refused: they can expand without limit."""

    def __init__(self, path: Path, first_pixel: FirstPixel) -> None:
        self.file_name, self.size = "", (0, 0)  # height, width
        self.objects: list[tuple[str, tuple[float, ...], int]] = []
        self.problems: list[str] = []
        self.faults: list[tuple[int, str]] = []  # line and problem of objects that cannot be read
        self.repairs: list[str] = []
        self._first_pixel = first_pixel
        self._polygon: dict[str, list[str]] = {}  # x and y of the object that is being read
        self._path: list[str] = []
        self._text: list[str] = []
        self._fields: dict[str, str] = {}  # fields of the whole file
        self._object: dict[str, str] = {}  # fields of the object that is being read
        self._line = 0  # first line of the object
        self._read(path)

    def _read(self, path: Path) -> None:
        try:
            if path.stat().st_size > MAX_BYTES:
                self.problems.append(f"has over {MAX_BYTES:,} bytes, which no annotation of one picture needs")
                return
            content = path.read_bytes()
        except OSError as error:
            self.problems.append(f"cannot be read ({error.strerror})")
            return
        text, repair = _decoded(content)
        self.repairs += [repair] if repair else []
        mended = _BARE_AND.sub("&amp;", text) if isinstance(text, str) else text
        if mended != text:
            self.repairs.append("characters & that are no &amp;")
        self._parse(mended)
        if not self.problems:
            self._whole()

    def _parse(self, text: str | bytes) -> None:
        self._parser = parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler, parser.SkippedEntityHandler = self._entity, self._skipped
        parser.buffer_text = True
        try:
            parser.Parse(text, True)
        except (expat.ExpatError, ValueError, LookupError) as error:  # the last two are raised for an unknown encoding
            self.problems.append(f"line {parser.CurrentLineNumber}: is no XML ({str(error).partition(':')[0]})")
        except _Refused as error:
            self.problems.append(f"line {parser.CurrentLineNumber}: {error}")

    def _entity(self, *_: Any) -> None:
        raise _Refused("declares an entity in its document type, which annotations do not need; remove it")

    def _skipped(self, name: str, is_parameter: bool) -> None:
        if not is_parameter:
            raise _Refused(f"refers to an entity of its document type ({some([name])}), which is not looked up; write the text")

    def _start(self, name: str, attributes: Any) -> None:
        self._path.append(name)
        self._text.clear()
        if len(self._path) == 1 and name != "annotation":
            raise _Refused(f"found <{some([name])}>; needed is <annotation>")
        if self._path[1:] == ["object"]:
            self._object, self._polygon, self._line = {}, {"x": [], "y": []}, self._parser.CurrentLineNumber

    def _end(self, name: str) -> None:
        path, text = self._path[1:], "".join(self._text).strip()
        self._path.pop()
        self._text.clear()
        key = "/".join(path)
        if path == ["object"]:
            self._add_object()
        elif path[:2] == ["object", "polygon"]:
            if path[-1].rstrip("0123456789") in self._polygon:
                self._polygon[path[-1][0]].append(text)
        elif path[:1] == ["object"]:
            self._note(self._object, key.removeprefix("object/"), text)
        else:
            self._note(self._fields, key, text)

    def _note(self, fields: dict[str, str], key: str, text: str) -> None:
        wanted = key in ("filename", "size/width", "size/height", "name") or key.removeprefix("bndbox/") in _CORNERS
        if wanted and key in fields:
            self.problems.append(f"line {self._parser.CurrentLineNumber}: <{key.rpartition('/')[2]}> is given twice; keep one")
        fields[key] = text

    def _add_object(self) -> None:
        if self._polygon["x"] and not any(key.startswith("bndbox/") for key in self._object):
            self._take_polygon()
        missing = [f"<{key}>" for key in ("name", *(f"bndbox/{corner}" for corner in _CORNERS)) if not self._object.get(key)]
        if missing:
            self.faults.append((self._line, f"the object has no {some(missing)}"))
            return
        texts = [self._object[f"bndbox/{corner}"] for corner in _CORNERS]
        numbers = [_number(text) for text in texts]
        odd = [f"<{corner}> {text}" for corner, text, number in zip(_CORNERS, texts, numbers, strict=True) if number is None]
        if odd:
            self.faults.append((self._line, f"found {some(odd)}; allowed: numbers"))
            return
        x1, y1, x2, y2 = (number for number in numbers if number is not None)
        self.objects.append((self._object["name"], (x1 - self._first_pixel, y1 - self._first_pixel, x2, y2), self._line))

    def _take_polygon(self) -> None:
        """Take the box around the object's polygon as its box."""
        numbers = {axis: [_number(text) for text in texts] for axis, texts in self._polygon.items()}
        for axis, values in numbers.items():
            known = [value for value in values if value is not None]
            if known and len(known) == len(values):
                self._object |= {f"bndbox/{axis}min": repr(min(known)), f"bndbox/{axis}max": repr(max(known))}
        self.repairs.append("polygons read as the box around them")

    def _whole(self) -> None:
        self.file_name = self._fields.get("filename", "")
        sides = [_number(self._fields.get(f"size/{side}") or "0") for side in ("height", "width")]
        known = [int(side) for side in sides if side is not None and 0 < side < 2**31]
        if len(known) == len(sides):
            self.size = (known[0], known[1])
        elif any(sides) or None in sides:
            self.repairs.append("sizes that are no two numbers, not read")


class _Refused(Exception):
    pass


def _decoded(content: bytes) -> tuple[str | bytes, str]:
    """Return the text of a file in the encoding that it declares, and a repair if it is not in it.

    The bytes themselves are returned if only the parser can tell (UTF-16, an unknown encoding).
    """
    declared = _ENCODING.match(content)
    name = declared[1].decode().lower() if declared else "utf-8"
    for encoding in (_WIDER.get(name, name), "cp949"):
        try:
            return content.decode(encoding), "" if encoding == _WIDER.get(name, name) else "files read as cp949"
        except (UnicodeDecodeError, LookupError):
            if name.startswith("utf-16") or (not declared and content[:2] in (b"\xff\xfe", b"\xfe\xff")):
                break
    return content, ""


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _xml_files(folder: Path) -> list[str]:
    """Return the paths of the XML files below the folder, with / between names, sorted."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [os.path.relpath(os.path.join(parent, name), folder) for name in names if name.lower().endswith(".xml")]
    return sorted(paths)


def write(table: SampleTable, folder: Path, first_pixel: FirstPixel = 1) -> None:
    """Write an XML file for each image into an existing folder; numbers to a millionth of a pixel.

    Raises UserError, and writes nothing, if the size of a picture is not known or two pictures would share a file.
    """
    require_sizes(table)
    objects, widths, heights = objects_of(table), table.numbers("width").tolist(), table.numbers("height").tolist()
    boxes = rounded(objects.boxes + np.array([first_pixel, first_pixel, 0, 0])).tolist()
    names, ends = [escape(objects.names[code]) for code in objects.codes.tolist()], objects.ends.tolist()
    paths = [f"{os.path.splitext(path)[0]}.xml" for path in table.paths()]
    if len(set(paths)) < len(paths):
        raise UserError("VOC's XML files are named after the images, and two images differ in their suffix only")
    for row, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        items = [(names[item], boxes[item]) for item in range(ends[row], ends[row + 1])]
        text = "".join(_xml(table.id(row), widths[row], heights[row], items))
        (folder / path).write_bytes(text.encode())


def _xml(name: str, width: int, height: int, items: list[tuple[str, list[float]]]) -> Iterator[str]:
    """Yield the lines of an XML file. name: not escaped. items: escaped class names, and boxes as they are written."""
    yield f"<annotation>\n  <filename>{escape(name)}</filename>\n"
    yield f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
    for label, box in items:
        corners = "".join(f"<{key}>{_plain(value)}</{key}>" for key, value in zip(_CORNERS, box, strict=True))
        yield f"  <object>\n    <name>{label}</name>\n    <bndbox>{corners}</bndbox>\n  </object>\n"
    yield "</annotation>\n"


def _plain(value: float) -> str:
    """Return the number without an exponent and without zeros at the end."""
    return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
