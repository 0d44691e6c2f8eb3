"""Layouts of synthetic data sets: each task registers its own layouts, and one reader draws and reads all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from base.base_reader import BaseReader
from data_loader.synthetic.canvas import Size


@dataclass(frozen=True)
class Layout:
    """A kind of synthetic data set: the function that writes it, and the readers of its parts.

    Fields: shows, a short description; write, a function of (folder, …, seed, size) whose further arguments are numbers with a
    default and `Annotated[int, "meaning of the number"]`; counts, the names of the two further arguments that are the reader's
    `people` and `eval_people`; parts, a reader for each of `train`, `valid` and `eval` that the layout has; columns, the
    columns of the table of its part `train`; fixed, values of the arguments that the reader does not choose.
    """

    shows: str
    write: Callable[..., None]
    counts: tuple[str, str]
    parts: dict[str, BaseReader]
    columns: frozenset[str]
    fixed: dict[str, int] = field(default_factory=dict)

    def draw(self, folder: Path, people: int, eval_people: int, seed: int, size: Size) -> None:
        """Write the data set. Raises FileExistsError if `folder` exists, and ValueError for a number out of range."""
        chosen = dict(zip(self.counts, (people, eval_people), strict=True))
        self.write(folder, **chosen, **self.fixed, seed=seed, size=size)


LAYOUTS: dict[str, Layout] = {}


def register_layout(name: str, layout: Layout) -> None:
    """Register a layout under a name for configs and the command line. Raises TypeError if the name is taken."""
    if name in LAYOUTS:
        raise TypeError(f"the synthetic layout {name} is registered twice")
    LAYOUTS[name] = layout


class _Registered:
    """Allow the names that are registered when the model of a config is made, and describe each name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(sorted(LAYOUTS))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = "; ".join(f"`{name}`, {LAYOUTS[name].shows}" for name in sorted(LAYOUTS))
        return {**handler(schema), "description": described}


LayoutName = Annotated[str, _Registered(), Field(validate_default=True)]  # a project may lack the task of the default
