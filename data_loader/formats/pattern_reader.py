"""Reader of labels from the names of files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, require_unique_ids, some
from base.types import Root
from utils.errors import UserError

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".jp2", ".avif"))


def _regular_expression(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if "path" in groups:
        raise ValueError("a pattern without a group called path, which is a column of its own")
    return text


@READERS.register()
class PatternReader(BaseReader):
    """Every image below a folder; each named group of a pattern over its path becomes a column."""

    def __init__(
        self,
        pattern: Annotated[
            Annotated[str, AfterValidator(_regular_expression)],
            Field(
                description="regular expression over the path below `root`, with / between folders, e.g. "
                r"`(?P<person>\d+)_(?P<gender>\w+)/(?P<shot>\w+)\.jpg`; it must match the whole path of "
                "every image"
            ),
        ],
        root: Root = ".",
        ignore: Annotated[
            Annotated[str, AfterValidator(_regular_expression)] | None,
            Field(description="images whose whole path matches this pattern are left out"),
        ] = None,
    ) -> None:
        self.pattern = re.compile(pattern)
        self.root = root
        self.ignore = re.compile(ignore) if ignore else None

    @classmethod
    def columns(cls, args: Any) -> set[str]:
        """Return `id`, `path`, and the groups of the pattern."""
        return {"id", "path", *re.compile(args.pattern).groupindex}

    def read(self, data_dir: Path) -> SampleTable:
        """Return one sample for each image, in order of path; ids are the paths below `root`, unless a group is called `id`.

        Raises UserError if no image is left, or if images do not match the pattern.
        """
        folder = data_dir / self.root
        paths = [path for path in find_images(folder) if not (self.ignore and self.ignore.fullmatch(path))]
        if not paths:
            raise UserError(f"{folder}: reader.args.ignore leaves out every image; make it match fewer")
        matches = [self.pattern.fullmatch(path) for path in paths]
        unmatched = [path for path, match in zip(paths, matches, strict=True) if match is None]
        if unmatched:
            raise UserError(
                f"{folder}: {len(unmatched)} of {len(paths)} images do not match the reader's pattern ({some(unmatched)}); "
                "mend reader.args.pattern, or name them in reader.args.ignore"
            )
        columns: dict[str, pa.Array] = {"id": pa.array(paths, pa.string()), "path": pa.array(paths, pa.string())}
        for group in self.pattern.groupindex:
            columns[group] = pa.array([match[group] if match else None for match in matches], pa.string())
        table = SampleTable(folder, pa.table(columns))
        require_unique_ids(table, str(folder))
        return table


def find_images(folder: Path) -> list[str]:
    """Return the paths of all images below a folder, with / between names, sorted.

    Links to folders are followed, hidden names are not. Raises UserError if there are no images, if a folder cannot be listed,
    or if a name is not UTF-8 text.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; set data_loader.args.data_dir to where the images are")
    paths = [path for path in files_below(folder, _cannot_list) if is_picture(path)]
    if not paths:
        raise UserError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    if no_text := [path for path in paths if not _is_text(path)]:
        raise UserError(f"{folder}: {some(no_text)}: the names of {len(no_text)} images are not UTF-8 text; rename them")
    return sorted(paths)


def pictures_below(folder: Path) -> list[str]:
    """Return the paths of all images below a folder like `find_images`, sorted; none if the folder cannot be listed."""
    return sorted(path for path in files_below(folder) if is_picture(path) and _is_text(path))


def files_below(folder: Path, onerror: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """Yield the paths of all files below a folder, with / between names, in no order.

    Links to folders are followed, hidden names are not. onerror: called for a folder that cannot be listed.
    """
    for parent, folders, names in os.walk(folder, onerror=onerror, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_ancestor(os.path.join(parent, name))]
        below = "" if (relative := os.path.relpath(parent, folder)) == "." else f"{relative}/"
        yield from (below.replace(os.sep, "/") + name for name in names if not name.startswith("."))


def is_picture(path: str) -> bool:
    """Return whether a file's ending is that of a picture."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def _is_text(path: str) -> bool:
    return path.encode(errors="ignore").decode() == path


def _cannot_list(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror})")


def _is_ancestor(path: str) -> bool:
    """Return whether a link leads back to a folder that contains it; following it would never end."""
    return os.path.islink(path) and f"{os.path.realpath(os.path.dirname(path))}/".startswith(f"{os.path.realpath(path)}/")
