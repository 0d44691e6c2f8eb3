"""Built-in data: synthetic people, drawn when they are first asked for."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.detection.objects import COLUMNS
from base.table import SampleTable
from data_loader.detection.formats.competition_json import CompetitionJsonReader
from data_loader.detection.formats.object_reader import ReadsObjects
from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.synthetic import writers as synthetic
from data_loader.verification.pair_reader import PairReader
from utils import files
from utils.errors import UserError

MARKER = "synthetic.json"
PERSON = r"(?P<person>[^_/]+)_(?P<gender>male|female)_(?P<race>[^_/]+)_(?P<age>\d+)"
Count = Annotated[int, Field(ge=2, le=1_000_000)]
SHOTS = 6  # pictures of a person in `verify`
Side = Annotated[int, Field(ge=16, le=4096)]


@dataclass(frozen=True)
class Layout:
    """One kind of data set: who writes it, and how its parts are read.

    write: (folder, people, eval_people, seed, size). columns: of the part `train`.
    """

    write: Callable[[Path, int, int, int, Any], None]
    parts: dict[str, BaseReader]
    columns: frozenset[str]


LAYOUTS = {
    "masks": Layout(
        synthetic.write_masks,
        {
            "train": PatternReader(PERSON + r"/(?P<shot>mask|incorrect_mask|normal)\d*\.jpg", root="train/images"),
            "eval": CsvReader("eval/info.csv", path_column="ImageID", root="eval/images"),
        },
        frozenset(("id", "path", "person", "gender", "race", "age", "shot")),
    ),
    "drivers": Layout(
        synthetic.write_drivers,
        {
            "train": CompetitionJsonReader("train/labels.json", root="train/images"),
            "eval": PatternReader(r".*\.jpg", root="test/images"),  # the objects in its labels.json are withheld
        },
        COLUMNS,
    ),
    "verify": Layout(
        lambda folder, people, eval_people, seed, size: synthetic.write_verify(folder, people, SHOTS, eval_people, seed, size),
        {
            "train": CsvReader("train/train_meta.csv", path_column="file_name", root="train"),
            "valid": PairReader("validate/validate_label.csv", root="validate"),
            "eval": PairReader("test/test_label.csv", root="test", label=None),  # its labels are withheld
        },
        frozenset(("id", "path", "file_name", "face_id")),
    ),
}


@READERS.register()
class SyntheticReader(BaseReader):
    """Draws a data set into the data folder if there is none yet, then reads it as a real one in the same layout.

    Args:
        layout: `masks`, a folder per person with columns person, gender, race, age and shot; `drivers`, people in their cars
            with boxes; or `verify`, faces of people with column face_id, and pairs of faces of others.
        part: `train`, the annotated pictures; `eval`, those to predict; in `verify` also `valid`, the pairs to validate on.
        people: people to train and validate on, 7 pictures each in `masks`, one in `drivers`; in `verify` people to train
            on, 6 pictures each.
        eval_people: people to predict, as many pictures each; in `verify` the number of pairs, of a quarter as many other
            people, to validate on and to predict.
        seed: other seeds give other people.
        size: height and width of the pictures in pixels.
    """

    def __init__(
        self,
        layout: Literal["masks", "drivers", "verify"] = "masks",
        part: Literal["train", "valid", "eval"] = "train",
        people: Count = 200,
        eval_people: Count = 40,
        seed: Annotated[int, Field(ge=0)] = 0,
        size: tuple[Side, Side] = (128, 96),
    ) -> None:
        if part not in LAYOUTS[layout].parts:
            raise UserError(f'reader.args.part: found "{part}"; the layout {layout} has {", ".join(LAYOUTS[layout].parts)}')
        self.layout, self.part = LAYOUTS[layout], part
        self.recipe: dict[str, Any] = {
            "layout": layout,
            "people": people,
            "eval_people": eval_people,
            "seed": seed,
            "size": list(size),
        }

    @classmethod
    def columns(cls, args: Any) -> set[str] | None:
        """Those of the training pictures."""
        return set(LAYOUTS[args.layout].columns) if args.part == "train" else None

    def read(self, data_dir: Path) -> SampleTable:
        """The drawn samples. Raises UserError where the folder holds something else."""
        return self._drawn(data_dir).read(data_dir)

    def read_objects(self, data_dir: Path, classes: Sequence[str] | None) -> SampleTable:
        """As `read`; objects whose class is none of `classes` are refused."""
        reader = self._drawn(data_dir)
        return reader.read_objects(data_dir, classes) if isinstance(reader, ReadsObjects) else reader.read(data_dir)

    def _drawn(self, data_dir: Path) -> BaseReader:
        """The reader of the part, whose data are there from now on."""
        if not data_dir.exists():
            self._draw(data_dir)
        self._require_own(data_dir)
        return self.layout.parts[self.part]

    def _draw(self, data_dir: Path) -> None:
        """Draw beside the folder and move into place, so that a kill leaves nothing that looks complete."""
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        building = data_dir.with_name(f".{data_dir.name}-{secrets.token_hex(4)}")
        recipe = self.recipe
        try:
            self.layout.write(building, recipe["people"], recipe["eval_people"], recipe["seed"], tuple(recipe["size"]))
            files.write_json(building / MARKER, recipe)
            os.rename(building, data_dir)
        except FileExistsError:
            pass  # another process was faster
        except OSError:
            if not data_dir.exists():
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _require_own(self, data_dir: Path) -> None:
        try:
            found = {"layout": "masks", **json.loads((data_dir / MARKER).read_text())}
        except (OSError, ValueError, TypeError):
            raise UserError(f"{data_dir}: holds data that are not synthetic; choose a new data_loader.args.data_dir") from None
        if found != self.recipe:
            raise UserError(f"{data_dir}: holds data drawn as {found}, wanted {self.recipe}; remove it or choose another folder")
