"""Copy pictures into a folder for each person, from any layout that the config's reader reads; for tools that need such folders.

Laurel itself does not need the copy: it reads the list.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from utils import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser, "JSON config; the reader of its data_loader is used")
    options.overrides(parser)
    options.output(parser, "new folder to write to", required=True)
    parser.add_argument("--link", action="store_true", help="hard links instead of copies, on the same disk")


def main(args: argparse.Namespace) -> int:
    """Copy the images, and print their number. Raises UserError if the config's loader has no identities."""
    from base.contracts import RunContext
    from data_loader.prepare.section import build_loader
    from data_loader.verification.loader import EmbeddingLoader
    from utils import config
    from utils.errors import UserError

    raw = config.read(args.config, args.set)
    loader = build_loader(raw, RunContext())
    if not isinstance(loader, EmbeddingLoader):
        raise UserError(f"{raw.file}: data_loader.type: {type(loader).__name__} knows no identities; use an EmbeddingLoader")
    samples = loader.samples
    table = samples.label(samples.read()[0], str(samples.data_dir), required=True)
    people = table.strings(samples.identity)
    write(people, [table.path(row) for row in range(len(table))], args.output, args.link)
    print(f"{args.output}: {len(people):,} images of {len(set(people)):,} identities")
    return 0


def write(people: list[str], paths: list[Path], output: Path, link: bool) -> None:
    """Copy each file to a folder with the name of its identity; write all files or none.

    Raises UserError if the folder exists, a name cannot be a folder's name, a file is missing, or two files would get one
    name.
    """
    import os
    import shutil

    from base.table import some
    from utils.errors import UserError
    from utils.files import new_folder

    if output.exists():
        raise UserError(f"{output}: exists already; choose a new folder, or remove it")
    bad = sorted({name for name in people if name in (".", "..") or "/" in name or "\\" in name or "\0" in name})
    if bad:
        raise UserError(f"{some(bad)}: cannot be the name of a folder; rename these identities")
    targets = [Path(who, path.name) for who, path in zip(people, paths, strict=True)]
    twice = sorted({str(target) for target in targets if targets.count(target) > 1}) if len(set(targets)) < len(targets) else []
    if twice:
        raise UserError(f"{output}: {some(twice)} would be written more than once; images of one identity need different names")
    try:
        with new_folder(output) as folder:
            for path, target in zip(paths, targets, strict=True):
                place = folder / target
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place) if link else shutil.copyfile(path, place)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; nothing was written to {output}") from None
