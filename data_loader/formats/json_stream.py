"""JSON files of hundreds of megabytes, read one element at a time; as Python objects they would take ten times as much memory."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from base.table import some
from utils.errors import UserError

_NO_NAME = re.compile("[\0\ud800-\udfff]")  # characters that neither a file name nor UTF-8 text can hold
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,18}(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_SPACE = re.compile(r"[ \t\r\n]*")


FIRST = 20_000  # characters in which the keys of a format are looked for
_CONVERT = "convert it to COCO (labelme2coco, Roboflow, CVAT and FiftyOne do), and read it with CocoReader"
# Formats by the keys that their files have, with what to do about them.
OTHER_FORMATS = {
    "LabelMe, a file for each picture": (("shapes", "imagePath"), _CONVERT),
    "VGG Image Annotator (VIA)": (("regions", "shape_attributes"), "export it from VIA as COCO, and read it with CocoReader"),
    "AIHub's records of faces": (("filename", "annot_A"), "write its records as COCO for boxes, or as CSV for labels"),
    "CreateML": (("image", "annotations", "coordinates"), _CONVERT),
    "Label Studio": (("from_name", "to_name"), "export it from Label Studio as COCO, YOLO or VOC"),
}
LIST_ADVICE = "take away the outer brackets of a single object, or write many records as COCO or CSV"


class Member(NamedTuple):
    """A member of the file's object, or one element of a member that is a list."""

    key: str
    number: int  # number of the element, from 0; -1 for a member that is not a list
    start: int  # position in the text at which the value begins
    value: Any


class JsonFile:
    """The text of a JSON file that holds one object. Raises UserError if the file cannot be read or is not UTF-8 text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
        self._decoder = json.JSONDecoder(object_pairs_hook=_object)

    def members(self) -> Iterator[Member]:
        """Yield the elements of every list in the object, and its other members, in their order; each is valid JSON.

        NaN and Infinity are floats like any other. Raises UserError with the line of the first text that is not JSON.
        """
        if self.text.lstrip()[:1] == "[":
            self.refuse_other_format()
            raise UserError(f"{self.path}: line 1, column 1: found a list […]; needed is an object {{…}}; {LIST_ADVICE}")
        place = self._expect("{", 0, "an object {…}")
        seen: set[str] = set()
        while (place := self._skip(place)) < len(self.text) and self.text[place] != "}":
            place = self._skip(self._expect(",", place, 'a comma or "}"')) if seen else place
            key, end = self._value(place)
            if not isinstance(key, str) or key in seen:
                self._refuse(place, f"found {_short(key)}; needed is a key that stands here only once")
            seen.add(key)
            start = self._skip(self._expect(":", end, "a colon"))
            if self.text[start : start + 1] != "[":
                value, place = self._value(start)
                yield Member(key, -1, start, value)
                continue
            place = yield from self._elements(key, start)
        end = self._skip(self._expect("}", place, 'a comma or "}"'))
        if end < len(self.text):
            self._refuse(end, "there is more text behind the object")

    def refuse_other_format(self) -> None:
        """Raise UserError that names a format which is not read here, if the file has the keys of one."""
        for name, (needed, advice) in OTHER_FORMATS.items():
            if all(f'"{key}"' in self.text[:FIRST] for key in needed):
                raise UserError(f"{self.path}: looks like {name}; {advice}")

    def at(self, place: int) -> str:
        """Return the file and the line, from 1, of a position in the text."""
        return f"{self.path}: line {self.text.count(chr(10), 0, place) + 1}"

    def locate(self, place: int, *keys: str | int) -> int:
        """Return the position of the value below these keys and indices, starting from the value at `place`."""
        for wanted in keys:
            index, place = 0, self._skip(place + 1)
            while True:
                name: str | int = index
                if isinstance(wanted, str):
                    name, place = self._value(place)
                    place = self._skip(self._skip(place) + 1)
                if name == wanted:
                    break
                index, place = index + 1, self._skip(self._skip(self._value(place)[1]) + 1)
        return place

    def _elements(self, key: str, start: int) -> Generator[Member, None, int]:
        """Yield the elements of the list that begins at `start`; return the position behind the list."""
        index, place = 0, self._skip(start + 1)
        while place < len(self.text) and self.text[place] != "]":
            place = self._skip(self._expect(",", place, 'a comma or "]"')) if index else place
            value, end = self._value(place)
            yield Member(key, index, place, value)
            index, place = index + 1, self._skip(end)
        return self._expect("]", place, 'a comma or "]"')

    def _value(self, place: int) -> tuple[Any, int]:
        place = self._skip(place)
        try:
            return self._decoder.raw_decode(self.text, place)
        except json.JSONDecodeError as error:
            self._refuse(error.pos, f"is no JSON ({error.msg.lower()})")
        except _KeyTwice as error:
            self._refuse(place, str(error))
        except ValueError:
            self._refuse(place, "holds a number of too many digits")
        except RecursionError:
            self._refuse(place, "is nested too deeply")

    def _skip(self, place: int) -> int:
        match = _SPACE.match(self.text, place)
        assert match is not None, "it matches everywhere"
        return match.end()

    def _expect(self, character: str, place: int, what: str) -> int:
        place = self._skip(place)
        if self.text[place : place + 1] != character:
            self._refuse(
                place, f"found {_short(self.text[place : place + 20]) if place < len(self.text) else 'the end'}; needed is {what}"
            )
        return place + 1

    def _refuse(self, place: int, message: str) -> NoReturn:
        column = place - self.text.rfind("\n", 0, place)
        raise UserError(f"{self.at(place)}, column {column}: {message}")


class _KeyTwice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _KeyTwice(f"{some(twice)} is given twice in one object; keep one")
    return result


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


# Checks of single values; each returns the problem, empty if there is none --------------------------------------------


def text_problem(value: Any, what: str) -> str:
    """Return the problem of a name, which must be text that is not empty and can be written to a file."""
    if isinstance(value, str) and value and not _NO_NAME.search(value):
        return ""
    return f"{what}: found {_short(value)}; allowed: text"


def numbers_problem(value: Any, number: int, what: str) -> str:
    """Return the problem of a list that must hold `number` numbers; NaN and Infinity are checked later, by their meaning."""
    if isinstance(value, list) and len(value) == number and all(map(_is_number, value)):
        return ""
    return f"{what}: found {_short(value)}; allowed: a list of {number} numbers"


def integer_problem(value: Any, what: str, least: int = -(2**62)) -> str:
    """Return the problem of an id or a size, which must be a whole number of at least `least`, perhaps as 1.0 or "1"."""
    whole = as_integer(value)
    if whole is not None and least <= whole < 2**62:
        return ""
    return f"{what}: found {_short(value)}; allowed: a whole number" + (f" of at least {least}" if least > -(2**62) else "")


def as_integer(value: Any) -> int | None:
    """Return a whole number that is written as 1, 1.0 or "1"; None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**62:
        return int(value)
    return value if type(value) is int else None


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _DECIMAL.fullmatch(value.strip()) is not None
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**62)
