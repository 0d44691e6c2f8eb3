"""Readers of lists of pairs of pictures with the truth: a table of the pictures, with the related table `pairs`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, some
from base.types import CsvFile, Delimiter, PathSuffix, Root
from base.verification.pairs import DIFFERENT, PAIRS, SAME, UNKNOWN
from data_loader.formats.csv_reader import Header, read_csv
from data_loader.formats.names import find_files, leaves_folder, meant_text, require_clear
from data_loader.formats.pattern_reader import is_picture
from data_loader.formats.repairs import with_repairs
from utils.config import show
from utils.errors import UserError


@READERS.register()
class PairReader(BaseReader):
    """A CSV file with two pictures and a label in each row.

    The table has every picture once, for any number of pairs; its related table `pairs` has the columns image1, image2 (ids)
    and same (1 same person, 0 different, -1 not known), in the order of the file.
    """

    def __init__(
        self,
        file: CsvFile,
        first: Annotated[
            str, Field(description="the column with the first picture's path below `root`, which is its id too")
        ] = "image1",
        second: Annotated[
            str, Field(description="the column with the second picture's path below `root`, which is its id too")
        ] = "image2",
        label: Annotated[
            str | None,
            Field(
                description="the column that says whether both pictures show one person; null for a list to predict, "
                "which does not say it"
            ),
        ] = "label",
        same: Annotated[
            str | None,
            Field(description="what the column says of the same person; without a default, because lists differ: LFW has 1"),
        ] = None,
        different: Annotated[
            str | None, Field(description="what the column says of different people; null for the other one of 0 and 1")
        ] = None,
        root: Root = ".",
        suffix: PathSuffix = "",
        delimiter: Delimiter = ",",
        header: Header = None,
    ) -> None:
        different = {"0": "1", "1": "0"}.get(same or "") if different is None else different
        if label is not None and (same is None or different is None):
            key, value = ("same", "one person") if same is None else ("different", "different people")
            raise UserError(
                f"reader.args.{key}: is not set; say what {label} says of {value}, 0 or 1. Lists differ: LFW and CALFW write 1 "
                "for one person, others 0. To find out, look at both pictures of a few pairs"
            )
        if label is not None and same == different:
            raise UserError(f"reader.args.same: found {show(same)}, which is reader.args.different too")
        self.file, self.first, self.second, self.label, self.delimiter = file, first, second, label, delimiter
        self.meaning = {same or "": SAME, different or "": DIFFERENT}
        self.root, self.suffix, self.header = root, suffix, header

    def read(self, data_dir: Path) -> SampleTable:
        """Return the pictures in order of name. Raises UserError that names every line with an unknown label."""
        path = data_dir / self.file
        read = read_csv(path, self.delimiter, header=self.header)
        read.require(path, *filter(None, (self.first, self.second, self.label)))
        names, rows, lines, repairs = read
        first, second = ([row[names.index(name)] for row in rows] for name in (self.first, self.second))
        same = [UNKNOWN] * len(rows)
        if self.label is not None:
            given = [row[names.index(self.label)] for row in rows]
            meant = [meant_text(value, list(self.meaning)) for value in given]
            odd = [
                f"line {line} ({value or 'nothing'})"
                for line, value, text in zip(lines, given, meant, strict=True)
                if text is None
            ]
            if odd:
                raise UserError(
                    f"{path}: {some(odd)}: the label is none of {', '.join(self.meaning)}; see reader.args.same, different"
                )
            same = [self.meaning[text] for text in meant if text is not None]
            require_both(path, same)
        _require_names(path, first, second, lines)
        place = dict(zip(reversed([*first, *second]), reversed(lines * 2), strict=True))
        table = table_of_pairs(
            data_dir / self.root, first, second, same, lambda name: name + self.suffix, lambda name: f"{path}: line {place[name]}"
        )
        return with_repairs(table, repairs)


@READERS.register()
class LfwPairsReader(BaseReader):
    """The lists of LFW: `pairs.txt` (view 2, folds of 300 + 300 pairs), `pairsDevTrain.txt` or `pairsDevTest.txt` (view 1).

    Also the same lists as CSV (Kaggle: `name,imagenum1,imagenum2,` with a fourth field for two people), and the list of CALFW
    and CPLFW: a line `file label` for each picture, two lines to a pair, 0 for different people.

    Huang et al. 2007, section III: a first line with the number of folds (view 2 only) and of pairs of either kind in each;
    then `name number number` for one person, `name number name number` for two. The related table `pairs` has the
    column fold too, from 0; the table has the column person.
    """

    def __init__(
        self,
        file: Annotated[str, Field(description="the list of pairs below the data folder")] = "pairs.txt",
        root: Annotated[str, Field(description="folder below the data folder that has a folder for each person")] = ".",
        extension: Annotated[
            Literal[".jpg", ".png"],
            Field(description="ending of the pictures' names, which are like `Ada_Lovelace/Ada_Lovelace_0001.jpg`"),
        ] = ".jpg",
    ) -> None:
        self.file, self.root, self.extension = file, root, extension

    @classmethod
    def columns(cls, args: object) -> set[str]:
        """Return `id`, `path` and `person`."""
        return {"id", "path", "person"}

    def read(self, data_dir: Path) -> SampleTable:
        """Return the pictures in order of name. Raises UserError if the list does not agree with its first line."""
        path = data_dir / self.file
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
        rows = [line.split() for line in lines]
        while rows and not rows[-1]:
            rows.pop()
        if rows and rows[0] and len(rows[0]) == 2 and is_picture(rows[0][0]):
            return self._by_files(path, data_dir / self.root, rows)
        kaggle = bool(rows) and "".join(rows[0]).lower().startswith("name,imagenum1,")
        if kaggle:
            rows = [[field.strip() for field in line.split(",") if field.strip()] for line in lines[: len(rows)]]
        pairs = _sizes(path, rows)[1] if not kaggle else 0
        first, second, same = [], [], []
        for number, row in enumerate(rows[1:], 2):
            expected = len(row) == 3 if kaggle else ((number - 2) // pairs) % 2 == 0  # each fold: the same, then different
            one, other = self._pictures(path, number, row, expected)
            first.append(one)
            second.append(other)
            same.append(SAME if expected else DIFFERENT)
        require_both(path, same)
        table = table_of_pairs(data_dir / self.root, first, second, same, lambda name: name, lambda name: str(path))
        if not kaggle:
            fold = [number // (2 * pairs) for number in range(len(first))]
            table.related[PAIRS] = table.related[PAIRS].append_column("fold", pa.array(fold, pa.int32()))
        return table.with_column("person", [name.partition("/")[0] for name in table.ids()])

    def _by_files(self, path: Path, root: Path, rows: Sequence[list[str]]) -> SampleTable:
        """Return the pairs of a list with a line `file label` for each picture; the person is the name before the number."""
        odd = [f"line {number}" for number, row in enumerate(rows, 1) if len(row) != 2 or not row[1].isdecimal()]
        odd += [
            f"line {place + 1}"
            for place in range(0, len(rows) - 1, 2)
            if (rows[place][1:] == ["0"]) != (rows[place + 1][1:] == ["0"])
        ]
        if odd or len(rows) % 2:
            raise UserError(
                f"{path}: {some(odd) or f'line {len(rows)}'}: expected: two lines `file label` for each pair, 0 for two people"
            )
        first, second = ([row[0] for row in rows[start::2]] for start in (0, 1))
        same = [DIFFERENT if row[1] == "0" else SAME for row in rows[0::2]]
        require_both(path, same)
        table = table_of_pairs(root, first, second, same, lambda name: name, lambda name: str(path))
        return table.with_column("person", [_PERSON.sub("", name) for name in table.ids()])

    def _pictures(self, path: Path, line: int, row: list[str], same: bool) -> tuple[str, str]:
        parts = [*row[:2], row[0], row[2]] if same and len(row) == 3 else row
        good = (
            len(row) == (3 if same else 4)
            and parts[1].isdecimal()
            and parts[3].isdecimal()
            and not any(map(leaves_folder, parts))
        )
        if not good or (parts[0] == parts[2]) != same:
            wanted = "name number number" if same else "name number other-name number"
            raise UserError(f'{path}: line {line}: found "{" ".join(row)}"; expected here: {wanted}')
        one, other = (f"{n}/{n}_{int(number):04d}{self.extension}" for n, number in (parts[:2], parts[2:]))
        return one, other


_PERSON = re.compile(r"_\d+\.\w+$|\.\w+$")


def _sizes(path: Path, rows: Sequence[list[str]]) -> tuple[int, int]:
    """Return the number of folds, and of pairs of either kind in each fold. Raises UserError if the first line is wrong."""
    head = rows[0] if rows else []
    if not 1 <= len(head) <= 2 or not all(re.fullmatch(r"[1-9]\d{0,8}", number) for number in head):
        raise UserError(
            f'{path}: line 1: found "{" ".join(head)}"; expected: the folds and the pairs of either kind, as in "10 300"'
        )
    folds, pairs = (int(head[0]), int(head[1])) if len(head) == 2 else (1, int(head[0]))
    if len(rows) - 1 != folds * 2 * pairs:
        raise UserError(f"{path}: has {len(rows) - 1} pairs; its first line says {folds * 2 * pairs} ({folds} x 2 x {pairs})")
    return folds, pairs


def table_of_pairs(
    root: Path,
    first: Sequence[str],
    second: Sequence[str],
    same: Iterable[int],
    path_of: Callable[[str], str],
    where: Callable[[str], str],
) -> SampleTable:
    """Return every picture once, in order of name, with the related table `pairs`.

    path_of: returns a picture's path below `root`, where: the file and line of its name.
    """
    names = sorted({*first, *second})
    paths = [path_of(name) for name in names]
    found = find_files(root, paths)
    require_clear(found, paths, root, lambda row: where(names[row]))
    pairs = {"image1": pa.array(first, pa.string()), "image2": pa.array(second, pa.string()), "same": pa.array(same, pa.int8())}
    columns = {"id": pa.array(names, pa.string()), "path": pa.array(found.paths, pa.string())}
    return with_repairs(SampleTable(root, pa.table(columns), {PAIRS: pa.table(pairs)}), found.repairs(names))


def require_both(source: object, same: Sequence[int]) -> None:
    """Raise UserError if all pairs are of one kind: neither a threshold nor a curve exists then."""
    for value, what in ((SAME, "one person"), (DIFFERENT, "different people")):
        if value not in same:
            raise UserError(
                f"{source}: none of its {len(same):,} pairs shows {what}; both kinds are needed, "
                "or reader.args.label: null for a list to predict"
            )


def _require_names(path: Path, first: Sequence[str], second: Sequence[str], lines: Sequence[int]) -> None:
    bad = [
        f"line {line} ({one or 'nothing'}, {other or 'nothing'})"
        for one, other, line in zip(first, second, lines, strict=True)
        if not one or not other
    ]
    if bad:
        raise UserError(f"{path}: {some(bad)}: a pair needs two pictures below the data folder")
