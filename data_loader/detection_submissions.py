"""The files of predicted boxes that competitions want."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from base.base_reader import SUBMISSIONS, BaseSubmission
from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable, some
from data_loader.readers.coco import image_numbers
from data_loader.readers.competition_json import listed_images
from data_loader.submissions import FileName, require_same
from utils import files
from utils.errors import UserError

LABEL = "object"
Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (n, 4) xyxy in absolute pixels of the original, scores, classes (n,)


class BoxSubmission(BaseSubmission):
    """Predictions with the columns `boxes`, `scores` and `labels`, the boxes in pixels of the original pictures."""

    file: str

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file

    def rows(self, predictions: Predictions, table: SampleTable, decimals: int) -> dict[str, Row]:
        """By sample id, the boxes by falling score: cut off at the picture's border, and rounded.

        A box of which that leaves nothing is left out. Raises UserError where a picture could not be read.
        """
        failed = predictions.failed()
        if failed:
            described = some([f"{name} {reason}" for name, reason in failed.items()])
            raise UserError(f"{self.file}: not written, since {len(failed)} images could not be read: {described}")
        sizes = np.stack([table.numbers(side) for side in ("width", "height")], axis=1)
        columns = (predictions.lists(name) for name in ("boxes", "scores", "labels"))
        rows = {}
        for name, size, boxes, scores, labels in zip(predictions.ids(), sizes, *columns, strict=True):
            inside = np.round(np.clip(boxes.reshape(-1, 4).astype(np.float64), 0, np.tile(size, 2)), decimals)
            order = np.argsort(-scores, kind="stable")
            order = order[(inside[order, 2:] > inside[order, :2]).all(axis=1)]
            rows[name] = (inside[order], scores[order], labels[order].astype(np.int64))
        return rows


@SUBMISSIONS.register("detection")
class CompetitionJsonSubmission(BoxSubmission):
    """The competition's JSON: for each image its objects with class, position [x1, y1, x2, y2] to 0.1 pixel, and score.

    Args:
        sample: JSON file below the data folder whose images are those asked for, in their order; default: all that were
            predicted, in order of id.
        file: name of the file that is written.
    """

    def __init__(self, spec: DataSpec, sample: str | None = None, file: FileName = "predictions.json") -> None:
        self.classes, self.sample, self.file = spec.classes[LABEL], sample, file

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write an entry per image, one without objects with an empty list; the number of images."""
        predictions.require_ids(table)
        rows = self.rows(predictions, table, decimals=1)
        names = list(rows)
        if self.sample is not None:
            names = listed_images(data_dir / self.sample)
            require_same(names, rows, data_dir / self.sample)
        entries = [
            {"file_name": name, "objects": [self._object(*item) for item in zip(*rows[name], strict=True)]} for name in names
        ]
        files.write_bytes(path, (json.dumps({"annotations": entries}, ensure_ascii=False) + "\n").encode())
        return len(entries)

    def _object(self, box: np.ndarray, score: Any, label: Any) -> dict[str, Any]:
        return {"class": self.classes[label], "position": box.tolist(), "confidence_score": round(float(score), 4)}


@SUBMISSIONS.register("detection")
class CocoSubmission(BoxSubmission):
    """COCO's results: a list of image_id, category_id, bbox [x, y, width, height] to 0.01 pixel, and score.

    Images and categories have the numbers of the COCO file that the test reader read; else they are counted from 1, images
    in order of id.

    Args:
        file: name of the file that is written.
    """

    def __init__(self, spec: DataSpec, file: FileName = "results.json") -> None:
        self.classes, self.file = spec.classes[LABEL], file

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write an entry per box; the number of images."""
        predictions.require_ids(table)
        rows = self.rows(predictions, table, decimals=2)
        numbers, categories = dict(zip(table.ids(), image_numbers(table), strict=True)), self._categories(table)
        entries = [
            {
                "image_id": numbers[name],
                "category_id": categories[label],
                "bbox": [float(value) for value in np.round([*box[:2], *(box[2:] - box[:2])], 2)],
                "score": round(float(score), 4),
            }
            for name, row in rows.items()
            for box, score, label in zip(*row, strict=True)
        ]
        files.write_bytes(path, (json.dumps(entries) + "\n").encode())
        return len(rows)

    def _categories(self, table: SampleTable) -> list[int]:
        """The category's number of each class."""
        if "categories" not in table.related:
            return list(range(1, len(self.classes) + 1))
        found = {row["name"]: int(row["id"]) for row in table.related["categories"].to_pylist()}
        missing = [name for name in self.classes if name not in found]
        if missing:
            raise UserError(
                f"{self.file}: {some(missing)}: no category of the file that says what to predict; there are: {some(found)}"
            )
        return [found[name] for name in self.classes]
