"""Rewrite box annotations in another format: competition (JSON), yolo (text), voc (XML) or coco (JSON).

The pictures are not moved; their sizes are read from their headers. Boxes keep their values to a millionth of a pixel in every
format. If anything is wrong with the annotations nothing is written, unless --invalid drop is given.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from utils import options

if TYPE_CHECKING:
    from base.table import SampleTable

FORMATS = ("competition", "yolo", "voc", "coco")
FOLDERS = ("yolo", "voc")  # formats of a file per picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_source(parser)
    parser.add_argument("--to", required=True, choices=FORMATS, dest="target", help="format to write")
    options.output(parser, "JSON file, or folder for yolo and voc; must not exist yet", "PATH", required=True)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Declare the options that describe the annotations to read."""
    parser.add_argument("--from", required=True, choices=FORMATS, dest="source", help="format of the annotations")
    parser.add_argument(
        "--annotations", required=True, type=Path, help="JSON file of the annotations, or folder for yolo and voc"
    )
    parser.add_argument("--images", required=True, type=Path, help="folder of the pictures")
    parser.add_argument(
        "--names", type=Path, help="text file with a class name on each line, in the order of their numbers; for yolo and coco"
    )
    parser.add_argument("--invalid", choices=("error", "drop"), default="error",
                        help="drop: clip boxes to their picture and leave out invalid ones, instead of refusing")  # fmt: skip
    parser.add_argument("--first-pixel", type=int, choices=(0, 1), default=1, help="number of the first pixel in voc's files")


def main(args: argparse.Namespace) -> int:
    """Convert the annotations, and print the number of written images and objects."""
    from base.detection.objects import objects_of

    source = Source(args.source, args.annotations, args.images, args.names, args.invalid, args.first_pixel)
    names = source.names_for(args.target)
    table = source.read()
    write(table, args.target, args.output, names, args.first_pixel)
    objects = objects_of(table)
    print(f"{args.output}: {len(table):,} images with {len(objects.boxes):,} objects")
    report(table)
    return 0


@dataclass(frozen=True)
class Source:
    """The annotations to read, as the options of `add_source` describe them.

    form: one of FORMATS. place: a JSON file, or a folder for a format of FOLDERS. names: a text file with a class name on each
    line. invalid: `error` or `drop`. first_pixel: number of the first pixel in the files of voc.
    """

    form: str
    place: Path
    images: Path
    names: Path | None
    invalid: Literal["error", "drop"]
    first_pixel: Literal[0, 1]

    def names_for(self, target: str) -> list[str]:
        """Return the class names in the order of their numbers. Raises UserError if a format needs them and none are given."""
        from data_loader.detection.formats.yolo import read_names
        from utils.errors import UserError

        if self.names is not None:
            return read_names(self.names)
        if "yolo" in (self.form, target) or target == "coco":
            raise UserError("--names: is needed, a text file with a class name a line: yolo and coco number their classes")
        return []

    def read(self) -> SampleTable:
        """Return the annotations. Raises UserError with all their problems."""
        from data_loader.detection.formats import coco, competition_json, voc, yolo

        names, root, place = self.names_for(self.form), str(self.images.absolute()), str(self.place.absolute())
        readers: dict[str, Callable[[], Any]] = {
            "competition": lambda: competition_json.CompetitionJsonReader(place, root, self.invalid),
            "yolo": lambda: yolo.YoloReader(place, names, root, self.invalid),
            "voc": lambda: voc.VocReader(place, root, self.first_pixel, self.invalid),
            "coco": lambda: coco.CocoReader(place, root, self.invalid),
        }
        table: SampleTable = readers[self.form]().read_objects(Path(), names or None)
        return table


def write(table: SampleTable, target: str, output: Path, names: list[str], first_pixel: Literal[0, 1]) -> None:
    """Write the table in the target format; a folder appears only when it is complete.

    names: the class names in the order of their numbers. first_pixel: number of the first pixel, for voc. Raises UserError if
    the output exists already, WriteError if it cannot be written.
    """
    from data_loader.detection.formats import coco, competition_json, voc, yolo
    from utils.errors import UserError
    from utils.files import WriteError, new_folder

    if os.path.lexists(output):
        raise UserError(f"{output}: is there already; choose another --output, or remove it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if target == "competition":
            competition_json.write(table, output)
        elif target == "coco":
            coco.write(table, output, names)
        elif target == "yolo":
            with new_folder(output) as folder:
                yolo.write(table, folder, names)
        else:
            with new_folder(output) as folder:
                voc.write(table, folder, first_pixel)
    except OSError as error:
        raise WriteError(f"{output}: cannot be written ({error.strerror or error})") from None


def report(table: SampleTable) -> None:
    """Print the classes with their numbers of objects, and the repairs."""
    from base.detection.objects import class_counts, objects_of
    from data_loader.formats.repairs import repair_lines

    names = sorted(set(objects_of(table).names))
    for name, count in zip(names, class_counts(table, names), strict=True):
        print(f"  {name:<20} {count:>10,}")
    for line in repair_lines(table):
        print(line)
