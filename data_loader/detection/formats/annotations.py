"""Images and objects read from annotation files, and their problems; all problems are reported together, by file and line."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from base.detection.objects import object_columns, rounded
from base.table import SampleTable
from data_loader.formats.names import find_files, meant_text, unclear_text
from data_loader.formats.pattern_reader import pictures_below
from data_loader.formats.repairs import REPAIRS, SCHEMA, Repair, with_repairs
from data_loader.pictures.image_header import header_sizes, is_missing
from utils.config import did_you_mean
from utils.errors import UserError

Invalid = Annotated[
    Literal["error", "drop"],
    Field(
        description="what to do about boxes outside their picture, of no area, of unknown class or that cannot be read, and "
        "images that are listed twice or missing: refuse all of them by line, or clip and leave out with a report"
    ),
]
Unannotated = Annotated[
    Literal["background", "leave_out"],
    Field(
        description="pictures in `root` that no annotation names: pictures without objects to learn the background from, or left "
        "out; their number is told"
    ),
]
TRIED = 200  # files whose sizes are compared with the given sizes before these are trusted
LINES = 500  # largest number of problems that are written out
# Formats with few decimals can put a box at the border of its picture this far outside; such a box is moved back.
ROUNDING = 0.02  # pixels
# Tools that round to whole pixels, or count the last pixel in, put a box this far outside; it is clipped, and counted.
BEFORE, BEHIND = 0.5, 1.0  # pixels to the left of or above the picture, and behind it
MEND = "mend the annotations"
ADVICE = 'mend the annotations, or set invalid="drop" to clip boxes to their pictures and leave out what remains'
Where = Callable[[int, int | None], str]  # number of the image, and of the object in order of addition -> file, line, element


class Fault(NamedTuple):
    """An object that cannot be read: the line of the error, and its kind and image if it is left out."""

    line: str
    repair: Repair


class Annotations:
    """Images and their objects, in flat arrays: Python objects for a whole data set would need gigabytes.

    `where` returns the file and line of an image or object for messages; it is only called for problems.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []  # as the file names the images: their paths below the folder of the images, or nearly
        self.own: list[str] = []  # for each image a name that its file may have beside its id, without an ending; or empty
        self.id_is_path = False  # True if an image that is found by another name has that name as its id
        self.sizes = array("i")  # height, width of each image; 0, 0 if the format does not give them
        self.owners, self.codes, self.corners = array("i"), array("i"), array("d")
        self.classes: dict[str, int] = {}
        self.problems: list[str] = []  # entries that could not be read, never dropped; empty texts after the first LINES
        self.omitted: list[int] = []  # numbers of images that are left out
        self.unannotated: list[int] = []  # numbers of images without an annotation, of which not even says that they are empty
        self.faults: list[Fault] = []  # objects that could not be read
        self.repairs: list[Repair] = []  # what was understood otherwise than it is written, or left out
        self.advice: Callable[[np.ndarray], str] = lambda box: ""  # says more about a box (4,) outside its picture
        self.where: Where = lambda image, item: ""

    def add_image(self, name: str, height: int = 0, width: int = 0, own: str = "") -> int:
        """Add an image and return its number.

        name: path below the folder of the images. height, width: pixels, 0 if not known. own: another name of its file.
        """
        self.ids.append(name)
        self.own.append(own)
        self.sizes.extend((height, width))
        return len(self.ids) - 1

    def add_object(self, image: int, name: str, box: Sequence[float]) -> None:
        """Add an object. box: xyxy in absolute pixels of the picture, as in the file."""
        self.owners.append(image)
        self.codes.append(self.classes.setdefault(name, len(self.classes)))
        self.corners.extend(box)

    def count_texts(self, values: Sequence[object], image: str) -> None:
        """Count an object if some of its numbers are written as texts. image: the id of its image."""
        if any(isinstance(value, str) for value in values):
            self.repairs.append(Repair(image, "numbers written as texts"))

    def note(self, where: Callable[[], str], text: str) -> None:
        """Note a problem; `where` is only called for the problems that are written out, because finding a line takes time."""
        self.problems.append(f"{where()}: {text}" if len(self.problems) < LINES else "")

    def fault(self, where: Callable[[], str], text: str, image: str = "", what: str = "objects that cannot be read") -> None:
        """Note an object that cannot be read, which `invalid` may leave out. image: the id of its image. what: a plural."""
        line = f"{where()}: {text}" if len(self.faults) < LINES else ""
        self.faults.append(Fault(line, Repair(image, f"{what} left out")))


def finish(
    found: Annotations,
    root: Path,
    classes: Sequence[str] | None,
    invalid: Invalid,
    trust_sizes: bool,
    unannotated: Literal["background", "leave_out"] = "leave_out",
) -> SampleTable:
    """Return the table of the images and objects, after all checks.

    classes: the allowed classes; None for any. invalid: refuse problems of single images and objects, or clip and drop.
    trust_sizes: take the sizes that the format gives without reading the files. The related table `repairs` has a row (id,
    what) for everything that was changed or left out. Raises UserError with a line for every problem (at most LINES).
    """
    if unannotated == "background":
        for path in sorted({*pictures_below(root)} - {*find_files(root, found.ids, found.own).paths}):
            found.unannotated.append(found.add_image(path))
    background = unannotated == "background"
    what = "pictures without an annotation " + ("taken as background" if background else "left out (reader.args.unannotated)")
    found.repairs += [Repair(found.ids[image], what) for image in found.unannotated]
    found.omitted = [] if background else found.unannotated
    return _Checks(found, root, classes, invalid, trust_sizes).table()


class _Checks:
    """The steps of `finish`; each step notes problems or drops images and objects."""

    def __init__(
        self, found: Annotations, root: Path, classes: Sequence[str] | None, invalid: Invalid, trust_sizes: bool
    ) -> None:
        self.found, self.root, self.classes, self.drop, self.trust_sizes = found, root, classes, invalid == "drop", trust_sizes
        self.images = np.ones(len(found.ids), bool)  # True for images that are kept
        self.images[found.omitted] = False
        self.sizes = np.array(found.sizes, np.int32).reshape(-1, 2)
        self.owners, self.codes = np.array(found.owners, np.int64), np.array(found.codes, np.int64)
        self.boxes = rounded(np.array(found.corners, np.float64).reshape(-1, 4))
        self.objects = np.ones(len(self.owners), bool)  # True for objects that are kept
        self.problems: list[tuple[int, int | None, str]] = []
        self.repairs = list(found.repairs)
        self.droppable = False  # True if `invalid` could leave out what some problem is about
        self.ids, self.paths, self.names = list(found.ids), list(found.ids), list(found.classes)

    def table(self) -> SampleTable:
        self._paths()
        self._twice()
        self._sizes()
        self.objects &= self.images[self.owners]
        self._classes()
        self._corners()
        self._borders()
        self._refuse()
        return self._made()

    def _paths(self) -> None:
        """Find the file of each image."""
        files = find_files(self.root, self.found.ids, self.found.own)
        self.paths = files.paths
        for image, others in files.unclear.items():
            self._image(image, unclear_text(self.ids[image], others, self.root), dropped=False)
        for image in files.outside:
            self._image(image, f"has a path that leaves the folder of the images, and no file in {self.root}", dropped=False)
        for image, name in enumerate(self.ids):
            if not self.paths[image] or name.encode(errors="ignore").decode() != name:
                self._image(image, "names no file", dropped=False)
        self.repairs += files.repairs(self.ids)
        if self.found.id_is_path:
            self.ids = list(files.paths)

    def _twice(self) -> None:
        first: dict[str, int] = {}
        for image, name in enumerate(self.ids):
            if (before := first.setdefault(name, image)) != image:
                self._image(image, "is listed more than once", f"; first at {self._place(before)}")

    def _sizes(self) -> None:
        """Read the sizes of the files unless they are trusted; a file that is not a picture is left to the decoder.

        Given sizes of pictures that EXIF turns are those of the pictures as they lie in the file: if a few files have another
        size than the given one, no size is trusted.
        """
        if self.trust_sizes and self._other_sizes():
            self.trust_sizes = False
        wanted = np.flatnonzero(self.images & (~self.sizes.any(axis=1) | (not self.trust_sizes)))
        looked = list(header_sizes([f"{self.root}/{self.paths[image]}" for image in wanted.tolist()]))
        for image, size in zip(wanted.tolist(), looked, strict=True):
            if isinstance(size, str) and is_missing(size):
                self._image(image, "is not there", f" (looked for in {self.root})")
        sizes = np.array([(0, 0) if isinstance(size, str) else size for size in looked], np.int32).reshape(-1, 2)
        annotated = self.sizes[wanted]
        for place in np.flatnonzero(annotated.any(axis=1) & sizes.any(axis=1) & (annotated != sizes).any(axis=1)).tolist():
            self.repairs.append(
                Repair(self.ids[wanted[place]], "images annotated with another size than they have; theirs counts")
            )
        self.sizes[wanted] = sizes

    def _other_sizes(self) -> bool:
        """Return whether one of TRIED files, spread over the set, has another size than the format gives."""
        sized = np.flatnonzero(self.images & self.sizes.any(axis=1))
        tried = sized[np.linspace(0, len(sized) - 1, min(TRIED, len(sized))).astype(int)] if len(sized) else sized
        looked = header_sizes([f"{self.root}/{self.paths[image]}" for image in tried.tolist()])
        pairs = zip(looked, self.sizes[tried].tolist(), strict=True)
        return any(not isinstance(size, str) and list(size) != given for size, given in pairs)

    def _classes(self) -> None:
        """Take the allowed class that each name means; a name that means none is a problem of its objects."""
        if self.classes is None:
            return
        meant = [meant_text(name, self.classes) for name in self.names]
        allowed = ", ".join(self.classes)
        odd = [code for code, (name, other) in enumerate(zip(self.names, meant, strict=True)) if name != other]
        for item in np.flatnonzero(np.isin(self.codes, odd)).tolist():
            name, other = self.names[self.codes[item]], meant[self.codes[item]]
            if other is None:
                near = did_you_mean(name, self.classes)
                self._object(item, "is of an unknown class", f' "{name}"{near}; allowed: {allowed}')
            else:
                self.repairs.append(Repair(self._id(item), f"objects of class {other}, written {name.strip()}"))
        self.names = [name if other is None else other for name, other in zip(self.names, meant, strict=True)]

    def _corners(self) -> None:
        x1, y1, x2, y2 = self.boxes.T
        finite = np.isfinite(self.boxes).min(axis=1, initial=True)
        with np.errstate(invalid="ignore"):  # comparisons with NaN
            swapped = finite & ((x2 < x1) | (y2 < y1))
            empty = finite & ~swapped & ((x2 == x1) | (y2 == y1))
        kinds: dict[str, np.ndarray] = {"that is not finite": ~finite, "with swapped corners": swapped, "of no area": empty}
        for kind, mask in kinds.items():
            for item in np.flatnonzero(mask & self.objects).tolist():
                self._object(item, f"has a box {kind}", f" {self._shown(item)}")

    def _borders(self) -> None:
        """Clip or drop boxes that reach beyond a picture whose size is known."""
        limits = self.sizes[self.owners][:, ::-1]  # width, height
        known = np.asarray(limits.any(axis=1))
        clipped = np.where(known[:, None], np.clip(self.boxes, 0, np.tile(limits, 2)), self.boxes)
        with np.errstate(invalid="ignore"):
            moved = clipped - self.boxes
            beyond = known & self.objects & (np.abs(moved).max(axis=1, initial=0) > ROUNDING)
            hardly = (moved.max(axis=1, initial=0) <= BEFORE) & (moved.min(axis=1, initial=0) >= -BEHIND)
        empty = (clipped[:, 2] <= clipped[:, 0]) | (clipped[:, 3] <= clipped[:, 1])
        for item in np.flatnonzero(beyond | (empty & self.objects)).tolist():
            if (self.drop or hardly[item]) and not empty[item]:
                how = "by at most a pixel" if hardly[item] else "to their picture"
                self.repairs.append(Repair(self._id(item), f"boxes clipped {how}{self.found.advice(self.boxes[item])}"))
                continue
            width, height = limits[item].tolist()
            more = f" {self._shown(item)}; the picture has {width} x {height} pixels{self.found.advice(self.boxes[item])}"
            self._object(item, "has a box outside the picture", more)
        self.boxes = clipped

    def _image(self, image: int, what: str, more: str = "", dropped: bool = True) -> None:
        if self.images[image]:
            self.images[image] = False
            self._note(image, None, what, more, dropped)

    def _object(self, item: int, what: str, more: str = "") -> None:
        if self.objects[item]:
            self.objects[item] = False
            self._note(int(self.owners[item]), item, what, more, True)

    def _note(self, image: int, item: int | None, what: str, more: str, dropped: bool) -> None:
        if self.drop and dropped:
            plural = what.replace("is ", "are ", 1) if what.startswith("is ") else what.replace("has ", "have ", 1)
            self.repairs.append(Repair(self.ids[image], f"{'images' if item is None else 'objects'} left out that {plural}"))
        else:
            self.problems.append((image, item, what + more))
            self.droppable = self.droppable or dropped

    def _id(self, item: int) -> str:
        return self.ids[int(self.owners[item])]

    def _shown(self, item: int) -> str:
        return "[" + ", ".join(f"{value:.10g}" for value in self.boxes[item].tolist()) + "]"

    def _place(self, image: int, item: int | None = None) -> str:
        return self.found.where(image, item)

    def _refuse(self) -> None:
        """Refuse all problems; if `invalid` is `drop`, what cannot be read of single objects is left out."""
        faults = [] if self.drop else [fault.line for fault in self.found.faults]
        first = [*self.found.problems, *faults]
        self.repairs += [fault.repair for fault in self.found.faults] if self.drop else []
        helps = not self.drop and bool(self.found.faults or self.droppable)
        refuse(first, self._lines(), len(first) + len(self.problems), ADVICE if helps else MEND)

    def _lines(self) -> Iterator[str]:
        for image, item, text in sorted(self.problems, key=lambda problem: problem[:1]):
            yield f"{self._place(image, item)}: {text}"

    def _made(self) -> SampleTable:
        if not self.images.any():
            why = [f"{number:,} {what}" for what, number in Counter(repair.what for repair in self.repairs).most_common(3)]
            raise UserError(f"{self.root}: no image is left; {len(self.ids)} were listed{': ' if why else ''}{'; '.join(why)}")
        kept = np.flatnonzero(self.images)
        order = np.argsort(self.owners, kind="stable")
        order = order[self.objects[order]]
        counts = np.bincount(self.owners[order], minlength=len(self.images))[kept]
        ids, paths = (pa.array([names[image] for image in kept.tolist()], pa.string()) for names in (self.ids, self.paths))
        known = self.sizes[kept].any(axis=1)
        sizes = {name: pa.array(self.sizes[kept, side], mask=~known) for name, side in (("width", 1), ("height", 0))}
        columns = object_columns(self.boxes[order], self.codes[order], self.names, counts)
        table = SampleTable(self.root, pa.table({"id": ids, "path": paths, **sizes, **columns}), {REPAIRS: SCHEMA.empty_table()})
        return with_repairs(table, self.repairs)


def refuse(first: Sequence[str], others: Iterator[str], number: int, advice: str = MEND) -> None:
    """Raise UserError with a line for every problem (at most LINES), if there are any. number: the number of all problems."""
    lines = list(first[:LINES])
    for line in others:
        if len(lines) >= LINES:
            break
        lines.append(line)
    if not lines:
        return
    more = [f"… and {number - len(lines):,} more"] if number > len(lines) else []
    last = f"{number:,} problem{'s' if number > 1 else ''}; {advice}"
    raise UserError("\n".join([*map(printable, lines), *more, last]))


def printable(line: str) -> str:
    """Return the text as one printable line, with any characters in the names that it shows."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
