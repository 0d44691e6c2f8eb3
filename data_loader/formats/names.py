"""Find pictures by their names as people wrote them, and compare texts as people mean them.

A list that comes from another computer writes `img\\a.JPG` for `img/a.jpg`, `/content/data/a.jpg` for `a.jpg`, `a` for `a.png`,
or `7` for `0007.jpg`; macOS splits accents and Korean syllables (NFD). All formats find their pictures here.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from base.table import SampleTable, some
from data_loader.formats.pattern_reader import IMAGE_SUFFIXES, pictures_below
from data_loader.formats.repairs import Repair, with_repairs
from utils.errors import UserError

_ZEROS = re.compile(r"(^|/)0+(?=\d+$)")


class Match(NamedTuple):
    """The known names that a written name may mean, and how it was understood: one name if it is found, several if unclear."""

    names: list[str]
    way: str


class NameIndex:
    """Known names, found by names that are written otherwise. The indices are made when the first name is not known as it is."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = set(known)

    def find(self, name: str, own: str = "", taken: Collection[str] = ()) -> Match:
        """Return the known name that is meant, by the first way that gives any.

        own: another name without an ending that the file may have, for example that of its annotation. taken: known names that
        somebody else means. The ways: as it is; slashes; Unicode form; case; ending; `own`; other folders above it; the base
        name, unless the folder exists; zeros in front of a number.
        """
        if name in self.known:
            return Match([name], "")
        for way, keys, index in self._ways(name, own):
            for key in keys:
                if found := [other for other in index.get(key, ()) if other not in taken]:
                    return Match(sorted(found), way)
        return Match([], "")

    def _ways(self, name: str, own: str) -> Iterator[tuple[str, list[str], dict[str, list[str]]]]:
        """Yield each way: its name, the keys to look for, and the known names by key."""
        slashes = tidy(name)
        composed = unicodedata.normalize("NFC", slashes)
        small = composed.casefold()
        stems = list(dict.fromkeys((_without_ending(small), small)))
        yield "found with other slashes or blanks", [slashes], self._by_slashes
        yield "found in another Unicode form (NFC, NFD)", [composed], self._by_form
        yield "found in another case", [small], self._by_case
        yield "found with another ending", stems, self._by_stem
        if own:
            yield "found by the name of their annotation", [_folded(own)], self._by_stem
        if posixpath.dirname(small) not in self._folders:  # otherwise the folder is right, and the picture is not there
            yield "found below other folders", list(_tails(small)), self._by_case
            yield "found below other folders", [tail for stem in stems for tail in _tails(stem)], self._by_stem
            yield "found by their base name", [posixpath.basename(stem) for stem in (small, *stems)], self._by_base
        if own:
            yield "found by the name of their annotation", [posixpath.basename(_folded(own))], self._by_base
        yield "found with zeros in front", [_ZEROS.sub(r"\1", stem) for stem in stems], self._by_number

    @cached_property
    def _by_slashes(self) -> dict[str, list[str]]:
        return self._index(tidy)

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        return self._index(lambda name: unicodedata.normalize("NFC", tidy(name)))

    @cached_property
    def _by_case(self) -> dict[str, list[str]]:
        return self._index(_folded)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return self._index(lambda name: _without_ending(_folded(name)))

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        both = self._index(lambda name: posixpath.basename(_folded(name)))
        for key, names in self._index(lambda name: posixpath.basename(_without_ending(_folded(name)))).items():
            both[key] = sorted({*both.get(key, ()), *names})
        return both

    @cached_property
    def _by_number(self) -> dict[str, list[str]]:
        return self._index(lambda name: _ZEROS.sub(r"\1", _without_ending(_folded(name))))

    @cached_property
    def _folders(self) -> set[str]:
        """The folders of the known names, in small letters."""
        return {posixpath.dirname(_folded(name)) for name in self.known} - {""}

    def _index(self, key_of: Callable[[str], str]) -> dict[str, list[str]]:
        index: dict[str, list[str]] = defaultdict(list)
        for name in self.known:
            index[key_of(name)].append(name)
        return dict(index)


class Files(NamedTuple):
    """The files that are meant by some names; indices are those of the names."""

    paths: list[str]  # below the root; the name itself if no file is meant
    ways: dict[int, str]  # how a name that is written otherwise was understood
    unclear: dict[int, list[str]]  # the files that a name may mean
    outside: list[int]  # names of no file below the root that lead out of it

    def repairs(self, ids: Sequence[str]) -> list[Repair]:
        """Return a repair for each name that is written otherwise. ids: of the samples that have the names."""
        return [Repair(ids[index], f"paths {way}") for index, way in self.ways.items()]


def find_files(root: Path, names: Sequence[str], own: Sequence[str] = ()) -> Files:
    """Return the files below `root` that are meant by some names; never a file outside, and a file only once.

    own: for each name, another name without an ending that the file may have. A file that one name says exactly is meant by no
    other. The folder is only listed if some name is not exactly that of a file.
    """
    paths = list(names)
    odd = [index for index, name in enumerate(names) if leaves_folder(name) or not os.path.isfile(f"{root}/{name}")]
    files = Files(paths, {}, {}, [])
    if not odd:
        return files
    index, exact = NameIndex(pictures_below(root)), set(names) - {names[place] for place in odd}
    meant: dict[str, list[int]] = defaultdict(list)
    for place in odd:
        found, way = index.find(names[place], own[place] if own else "", exact)
        if len(found) == 1 and way:
            meant[found[0]].append(place)
            paths[place], files.ways[place] = found[0], way
        elif len(found) > 1:
            files.unclear[place] = found
        elif leaves_folder(names[place]):
            files.outside.append(place)
    for path, places in meant.items():
        if len({names[place] for place in places}) > 1:
            _part(files, names, path, places)
    return files


def _part(files: Files, names: Sequence[str], path: str, places: list[int]) -> None:
    """Take a file back from names that differ from each other: none of them says which one means it."""
    for place in places:
        files.paths[place] = names[place]
        del files.ways[place]
        files.unclear[place] = [path, *(names[other] for other in places if names[other] != names[place])]


def require_clear(files: Files, names: Sequence[str], root: Path, where: Callable[[int], str]) -> None:
    """Raise UserError with a line for each name that may mean several files, or that leads out of the root.

    where: returns file and line of a name.
    """
    lines = [f"{where(place)}: {unclear_text(names[place], found, root)}" for place, found in sorted(files.unclear.items())]
    if files.outside:
        named = some([f"{where(place)} ({names[place]})" for place in files.outside])
        lines.append(f"{named}: no file of this name is below {root}; paths must stay below the data folder")
    if lines:
        raise UserError("\n".join(lines))


def with_files(table: SampleTable) -> SampleTable:
    """Return the table with the files that its paths mean. Raises UserError that names the paths that are not clear."""
    ids, paths = table.ids(), table.paths()
    files = find_files(table.root, paths)
    require_clear(files, paths, table.root, lambda row: ids[row])
    return with_repairs(table.with_column("path", files.paths), files.repairs(ids)) if files.ways else table


def unclear_text(name: str, found: Sequence[str], root: Path) -> str:
    """Return the message for a name that may mean several files, or a file that several names may mean."""
    return f"{some([name])}: is not there, and it is not clear what is meant: {some(found)}; write the path below {root}"


def leaves_folder(name: str) -> bool:
    """Return whether a path could lead out of the folder that it is joined to, on any system."""
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name


def tidy(name: str) -> str:
    """Return a path with / between its parts, without empty ones, blanks at their ends, and what belongs to a web address."""
    if "://" in name:
        with contextlib.suppress(ValueError):  # what only looks like an address
            name = unquote(urlsplit(name).path)
    parts = [part.strip() for part in name.replace("\\", "/").split("/")]
    return posixpath.normpath("/".join(parts)).strip("/")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", tidy(name)).casefold()


def _without_ending(name: str) -> str:
    stem, ending = posixpath.splitext(name)
    return stem if ending in IMAGE_SUFFIXES else name


def _tails(name: str) -> Iterator[str]:
    """Yield the path without its first folder, without its first two, and so on."""
    parts = name.split("/")
    yield from ("/".join(parts[start:]) for start in range(1, len(parts)))


# Texts ----------------------------------------------------------------------------------------------------------------


def meant_text(text: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed text that is meant: the same, or the same after NFC and without blanks, as a number, or in any case.

    None if there is none, or if several differ only in their case.
    """
    if text in allowed:
        return text
    for key_of in (_composed, _number_or_text, lambda value: _composed(value).casefold()):
        found = [name for name in allowed if key_of(name) == key_of(text)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _number_or_text(text: str) -> str:
    """Return a whole number without its decimals (`1.0` is `1`), any other text without blanks."""
    plain = _composed(text)
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", plain)
