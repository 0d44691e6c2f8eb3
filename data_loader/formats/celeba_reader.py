"""Reader of CelebA's lists: `list_attr_celeba.txt`, and beside it the partition and the people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable, some
from base.types import Root
from utils.errors import UserError

ATTRIBUTES, PARTITION, PEOPLE = "list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"
SIDES = {"0": "train", "1": "valid", "2": "test"}  # Liu et al. 2015, list_eval_partition.txt


@READERS.register()
class CelebaReader(BaseReader):
    """CelebA's list of attributes: their number, their names, then a line `file 1 -1 …` for each picture.

    Each attribute is a column; `part` (train, valid, test) and `person` are columns if the lists of them are given.
    """

    def __init__(
        self,
        file: Annotated[str, Field(description="the list of attributes below the data folder")] = ATTRIBUTES,
        root: Root = ".",
        partition: Annotated[str | None, Field(description="list with 0 (train), 1 (valid) or 2 (test) for each picture")] = None,
        people: Annotated[str | None, Field(description="the list with the number of the person for each picture")] = None,
    ) -> None:
        self.file, self.root, self.partition, self.people = file, root, partition, people

    def read(self, data_dir: Path) -> SampleTable:
        """Return one sample for each line. Raises UserError that names all wrong lines."""
        names, rows = rows_of(data_dir / self.file)
        files = [row[0] for row in rows]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(names, 1)}
        if self.partition is not None:
            columns["part"] = [SIDES.get(text, text) for text in _second(data_dir / self.partition, files)]
        if self.people is not None:
            columns["person"] = _second(data_dir / self.people, files)
        table = {name: pa.array(values, pa.string()) for name, values in {"id": files, "path": files, **columns}.items()}
        return SampleTable(data_dir / self.root, pa.table(table))


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the attributes, and the fields of each picture's line. Raises UserError that names all wrong lines."""
    lines = _lines(path)
    names = lines[1].split() if len(lines) > 2 and lines[0].strip().isdecimal() else []
    if not names:
        raise UserError(f"{path}: line 1: needed are the number of pictures, then their attributes, then a line for each")
    rows = [line.split() for line in lines[2:]]
    good = [len(row) == len(names) + 1 and set(row[1:]) <= {"1", "-1"} for row in rows]
    odd = [f"line {number}" for number, right in enumerate(good, 3) if not right]
    if odd:
        raise UserError(f"{path}: {some(odd)}: needed are a file and {len(names)} times 1 or -1")
    return names, rows


def _second(path: Path, files: Sequence[str]) -> list[str]:
    """Return the second field of each picture's line. Raises UserError for a picture without a line."""
    fields = dict(line.split()[:2] for line in _lines(path) if len(line.split()) > 1)
    missing = [name for name in files if name not in fields]
    if missing:
        raise UserError(f"{path}: no line for {some(missing)}")
    return [fields[name] for name in files]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
