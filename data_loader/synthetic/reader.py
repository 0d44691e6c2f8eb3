"""Reader of built-in data: synthetic people, drawn at the first use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from base.base_reader import READERS, BaseReader
from base.table import SampleTable
from base.types import ScenePixels
from data_loader.synthetic.layouts import LAYOUTS, LayoutName
from utils import files
from utils.errors import UserError

MARKER = "synthetic.json"
Number = Annotated[int, Field(ge=2, le=1_000_000)]  # of people or pairs


@READERS.register()
class SyntheticReader(BaseReader):
    """Draw a data set into the data folder if the folder does not exist, then read it like a real one of the same layout."""

    def __init__(
        self,
        layout: Annotated[
            LayoutName, Field(description="the kind of data set: what is drawn, and how its files are laid out")
        ] = "masks",
        part: Annotated[
            Literal["train", "valid", "eval"],
            Field(
                description="`train`, the annotated pictures; `eval`, the pictures or pairs to predict; `valid`, in "
                "a layout of pairs, the pairs to validate on"
            ),
        ] = "train",
        people: Annotated[
            Number, Field(description="people to train and validate on; in a layout of pairs people to train on")
        ] = 200,
        eval_people: Annotated[
            Number,
            Field(
                description="people to predict; in a layout of pairs the number of pairs, of a quarter as many other "
                "people, to validate on and to predict"
            ),
        ] = 40,
        seed: Annotated[int, Field(ge=0, description="of the drawing: another seed gives other people")] = 0,
        size: Annotated[tuple[ScenePixels, ScenePixels], Field(description="height and width of the pictures, in pixels")] = (
            128,
            96,
        ),
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
        """Return the columns of the training pictures."""
        return set(LAYOUTS[args.layout].columns) if args.part == "train" else None

    def read(self, data_dir: Path) -> SampleTable:
        """Return the drawn samples. Raises UserError if the folder holds other data."""
        return self.delegate(data_dir).read(data_dir)

    def delegate(self, data_dir: Path) -> BaseReader:
        """Return the reader of the part; draw the data set first if it does not exist."""
        if not data_dir.exists():
            self._draw(data_dir)
        self._require_own(data_dir)
        return self.layout.parts[self.part]

    def _draw(self, data_dir: Path) -> None:
        """Draw beside the folder and move into place, so that an interruption leaves no incomplete data set."""
        recipe = self.recipe
        try:
            with files.new_folder(data_dir) as folder:
                folder.rmdir()  # drawing makes the folder itself
                self.layout.draw(folder, recipe["people"], recipe["eval_people"], recipe["seed"], tuple(recipe["size"]))
                files.write_json(folder / MARKER, recipe)
        except ValueError as error:
            raise UserError(f"{data_dir}: cannot be drawn in the layout {recipe['layout']}: {error}; see reader.args") from None
        except OSError:
            if not data_dir.exists():  # else another process was faster
                raise

    def _require_own(self, data_dir: Path) -> None:
        try:
            drawn = {"layout": "masks", **json.loads((data_dir / MARKER).read_text())}
        except (OSError, ValueError, TypeError):
            raise UserError(f"{data_dir}: holds data that are not synthetic; choose a new data_loader.args.data_dir") from None
        if drawn != self.recipe:
            raise UserError(f"{data_dir}: holds data drawn as {drawn}, wanted {self.recipe}; remove it or choose another folder")
