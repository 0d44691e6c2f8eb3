"""Find the crop box of every picture of a config's data, and write a CSV file for data_loader.args.crops.

The boxes of --boxes are used first, in the order of the files, then the config's croppers in their order, or GrabCutCropper.
If no cropper finds a box the picture stays whole, and its line says so. Sheets show pictures of each outcome of each cropper.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils import options

if TYPE_CHECKING:
    from data_loader.crop.crops import Crops


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser, "JSON config; its readers and croppers are used")
    options.overrides(parser)
    parser.add_argument("--boxes", metavar="FILE", type=Path, action="append", default=[],
                        help="CSV file (path,s_X,s_Y,e_X,e_Y) whose boxes are taken as they are; repeatable")  # fmt: skip
    options.output(parser, "CSV file to write (default: the config's crops.file)", "FILE")
    parser.add_argument("--sheets", metavar="DIR", type=Path, default=Path("saved/crops"),
                        help="folder for sheets of pictures with their boxes (default: saved/crops)")  # fmt: skip
    parser.add_argument("--write", metavar="DIR", type=Path, help="also write every cropped picture to a new folder")


def main(args: argparse.Namespace) -> int:
    """Crop every picture, write the file and the sheets, and print the report.

    Raises UserError if the config's loader does not cut pictures, or if given boxes are wrong.
    """
    from base.contracts import RunContext
    from data_loader.crop.croppers import GrabCutCropper
    from data_loader.crop.crops import Crops, read_boxes, refuse
    from data_loader.crop.cut_pictures import CutPictureSettings
    from data_loader.prepare.crop_report import CropReport
    from data_loader.prepare.cropping import Cropping, Line, new_folder, write_boxes, write_picture
    from data_loader.prepare.section import ReadsImages, build_loader
    from utils import config
    from utils.errors import UserError

    raw = config.read(args.config, args.set)
    loader = build_loader(raw, RunContext())
    if not isinstance(loader, ReadsImages) or not isinstance(settings := loader.settings, CutPictureSettings):
        raise UserError(f"{raw.file}: data_loader.type: the pictures of a {type(loader).__name__} are not cut")
    samples = loader.samples
    output = _output(args.output, settings.crops, samples.data_dir, args.boxes)
    if args.write is not None and args.write.exists():
        raise UserError(f"--write {args.write}: exists already; choose a new folder, or remove it")
    crops = settings.crops or Crops(file=str(output))
    given = [read_boxes(path) for path in args.boxes]
    cropping = Cropping(samples.data_dir, given, settings.croppers or [GrabCutCropper()], crops)
    report, lines = CropReport(), list[Line]()
    with new_folder(args.write) as folder:
        for seen in cropping.see_all([samples.read_table(reader) for reader in samples.readers()]):
            if isinstance(seen, str):
                report.unreadable.append(seen)
                continue
            lines.append(seen.line)
            report.add(seen)
            if folder is not None and not cropping.problems:
                write_picture(folder, seen.image, seen.line, crops)
        refuse(cropping.problems)
        write_boxes(output, lines)
    sheets = report.write(args.sheets)
    print("\n".join([f"{output}: {len(lines):,} boxes", *report.lines(), f"sheets: {', '.join(map(str, sheets)) or 'none'}"]))
    if settings.crops is None:
        print(f'for the config: "crops": {{"file": "{_below(output, samples.data_dir)}"}} in data_loader.args')
    return 0


def _output(given: Path | None, crops: Crops | None, data_dir: Path, boxes: Sequence[Path]) -> Path:
    """Return the path of the box file. Raises UserError if it would overwrite a file, or the folder of --write exists."""
    from utils.errors import UserError

    if given is None and crops is None:
        raise UserError("-o FILE: is needed, since the config has no data_loader.args.crops that names a file")
    output = given or data_dir / (crops.file if crops is not None else "")
    if output.exists() and output.resolve() not in {path.resolve() for path in boxes}:
        raise UserError(f"{output}: is there already; choose another -o, remove it, or keep its boxes with --boxes {output}")
    return output


def _below(path: Path, folder: Path) -> str:
    from data_loader.crop.crops import relative

    return relative(path.absolute(), folder.absolute())
