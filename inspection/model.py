"""A trained model as a program uses it: pictures in, tables with class names out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from base.predictions import Predictions
from inspection.kinds import BaseKind, all_kinds, kinds_of
from trainer.evaluation.pictures import Picture, PictureModel
from utils.errors import UserError

Pictures = Any  # a picture, a folder of pictures, or an iterable of pictures; a picture may also be one of Pillow's


class Model:
    """A trained model. A picture is a file, its bytes, pixels (H, W, 3) uint8 RGB, or an image of Pillow."""

    def __init__(self, model: PictureModel) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"<model {self.path} on {self.model.device}>"

    @property
    def path(self) -> Path:
        """The file of the model."""
        return self.model.loaded.path

    @property
    def classes(self) -> dict[str, list[str]]:
        """The names of the classes of each label, in the order of their numbers."""
        return dict(self.model.loaded.spec.classes)

    def predict(self, pictures: Pictures) -> pd.DataFrame:
        """Return what the model predicts of the pictures; the column `picture` names the file, or the number of the picture.

        Attributes: a row for each picture with the class of each label and its probability. Detection: a row for each box.
        Verification: a row for each picture with its vector. Raises UserError if a picture cannot be used.
        """
        predictions = self.model.predictions(listed(pictures))
        return self._kind(predictions).table(predictions, self.model.loaded.spec)

    def embed(self, pictures: Pictures) -> np.ndarray:
        """Return the vectors of pictures, (N, D) float32. Raises UserError if the model predicts no vectors."""
        predictions = self.model.predictions(listed(pictures))
        return self._kind(predictions).vectors(predictions)

    def compare(self, first: Pictures, second: Pictures) -> pd.DataFrame:
        """Return a row for each two pictures: `similarity`, and `same`, the decision at the threshold of validation.

        One picture on a side is compared with all of the other side. Raises UserError if the model predicts no vectors, or the
        sides have different numbers of pictures.
        """
        predictions = [self.model.predictions(listed(side)) for side in (first, second)]
        kind = self._kind(predictions[0])
        sides = [kind.vectors(each) for each in predictions]
        number = max(map(len, sides))
        if any(len(side) not in (1, number) for side in sides):
            raise UserError(f"compare: found {len(sides[0])} and {len(sides[1])} pictures; allowed: equally many, or one picture")
        one, other = (np.repeat(side, number // len(side), axis=0) for side in sides)
        return kind.compared(one, other, self.model.metrics())

    def _kind(self, predictions: Predictions) -> BaseKind:
        kinds = kinds_of(predictions.columns.schema, self.model.loaded.spec)
        if not kinds:
            names = ", ".join(predictions.names) or "nothing"
            raise UserError(f"{self.path}: predicts {names}, which is of no task here; `.model.predictions(…)` gives it as it is")
        return all_kinds()[kinds[0]]


def listed(pictures: Pictures) -> list[Picture]:
    """Return pictures as a list: the pictures of a folder, or one picture alone. Raises UserError for anything else."""
    if isinstance(pictures, str | Path) and Path(pictures).is_dir():
        from data_loader.formats.pattern_reader import find_images

        return [Path(pictures) / name for name in find_images(Path(pictures))]
    if _is_one(pictures):
        return [_picture(pictures)]
    if not isinstance(pictures, Iterable):
        raise UserError(f"found {type(pictures).__name__}; allowed: a file, pixels, or a list of pictures")
    return [_picture(picture) for picture in pictures]


def without_vectors(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the columns `<name>_0`, `<name>_1`, … in place of each column of vectors."""
    columns: dict[str, Any] = {}
    for name in table:
        values = table[name]
        if len(values) and isinstance(values.iloc[0], np.ndarray):
            columns |= {f"{name}_{number}": column for number, column in enumerate(np.stack(list(values)).T)}
        else:
            columns[str(name)] = values
    return pd.DataFrame(columns)


def _is_one(value: Any) -> bool:
    return isinstance(value, str | Path | bytes) or hasattr(value, "convert") or getattr(value, "ndim", 4) < 4


def _picture(value: Any) -> Picture:
    """Return a picture as the model takes it; an image of Pillow becomes pixels."""
    if hasattr(value, "convert"):
        return np.asarray(value.convert("RGB"))
    if not isinstance(value, str | Path | bytes | np.ndarray):
        raise UserError(f"found {type(value).__name__}; allowed as a picture: a file, its bytes, pixels, or an image of Pillow")
    return value
