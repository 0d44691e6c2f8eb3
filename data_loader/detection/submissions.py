"""The submission files of predicted boxes."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from base.base_reader import SUBMISSIONS, BaseSubmission, Verdict
from base.contracts import DataSpec
from base.detection.objects import OBJECT
from base.predictions import Predictions
from base.table import SampleTable, some
from base.types import FileName
from data_loader.detection.formats.coco import image_numbers
from data_loader.detection.formats.competition_json import listed_images
from data_loader.submissions.lint import counted, key_problems, text_of
from data_loader.submissions.sample_file import require_same
from utils.errors import UserError

SLACK = 0.011  # pixels: width and height of a box are rounded to a hundredth
Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (n, 4) xyxy in absolute pixels of the original, scores, classes (n,)


class BoxProblems:
    """Problems of boxes, counted by kind."""

    def __init__(self) -> None:
        self.by_kind: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, place: str, found: Any) -> None:
        """Add the problem of one box: its image, and the wrong value."""
        self.by_kind[kind].append(f"{place}: {json.dumps(found, ensure_ascii=False)[:60]}")

    def look(self, place: str, box: Any, score: Any, size: tuple[int, int] | None) -> None:
        """Check one box. box: corners x1, y1, x2, y2 in pixels. score: in [0, 1]. size: (width, height), if known."""
        if not four_numbers(box):
            self.add("have no box of four finite numbers", place, box)
        elif box[0] >= box[2] or box[1] >= box[3]:
            self.add("have a box without area", place, box)
        elif size is not None and (min(box) < 0 or box[2] > size[0] + SLACK or box[3] > size[1] + SLACK):
            self.add("have a box outside its image", place, box)
        if not _is_number(score) or not 0 <= score <= 1:
            self.add("have no score in [0, 1]", place, score)

    def lines(self) -> list[str]:
        """Return a line for each kind of problem."""
        return [line for kind, places in self.by_kind.items() for line in counted(f"objects {kind}", places)]


def four_numbers(box: Any) -> bool:
    """Return whether the value is a list of four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_entry(entry: Any) -> bool:
    """Return whether the value is an image with its objects."""
    good = isinstance(entry, dict) and isinstance(entry.get("file_name"), str) and isinstance(entry.get("objects"), list)
    return good and all(isinstance(item, dict) for item in entry["objects"])


def json_of(content: bytes) -> tuple[Any, list[str]]:
    """Return the value in a JSON file, and the problems of its text."""
    text, problems = text_of(content)
    try:
        return (None if problems else json.loads(text)), problems
    except (ValueError, RecursionError) as error:
        return None, [f"is no JSON ({str(error) or 'nested too deeply'})"]


def sizes_of(table: SampleTable) -> dict[str, tuple[int, int]]:
    """Return (width, height) of the pictures whose size is known, by id."""
    sizes = zip(table.ids(), *(table.columns[side].to_pylist() for side in ("width", "height")), strict=True)
    return {name: (width, height) for name, width, height in sizes if width and height}


class BoxSubmission(BaseSubmission):
    """Predictions with the columns `boxes`, `scores` and `labels`, the boxes in pixels of the original pictures."""

    fallback = "no boxes"
    file: str

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file

    def rows(self, predictions: Predictions, table: SampleTable, decimals: int) -> dict[str, Row]:
        """Return the boxes of each sample id by falling score, cut at the picture's border and rounded.

        A box without area after that is left out.
        """
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
    """The competition's JSON: for each image its objects with class, position [x1, y1, x2, y2] to 0.1 pixel, and score."""

    def __init__(
        self,
        spec: DataSpec,
        sample: Annotated[
            str | None,
            Field(
                description="JSON file below the data folder that names the images and their order; null for all "
                "predicted images, in order of id"
            ),
        ] = None,
        file: FileName = "predictions.json",
    ) -> None:
        self.classes, self.sample, self.file = spec.classes[OBJECT], sample, file

    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """Return an entry for each image; an image without objects has an empty list."""
        rows = self.rows(predictions, table, decimals=1)
        names = list(rows)
        if self.sample is not None:
            names = listed_images(data_dir / self.sample)
            require_same(names, rows, data_dir / self.sample)
        entries = [
            {"file_name": name, "objects": [self._object(*item) for item in zip(*rows[name], strict=True)]} for name in names
        ]
        return (json.dumps({"annotations": entries}, ensure_ascii=False) + "\n").encode()

    def require_sample(self, table: SampleTable, data_dir: Path) -> None:
        """Require that the sample file asks for exactly the samples."""
        if self.sample is not None:
            require_same(listed_images(data_dir / self.sample), dict.fromkeys(table.ids()), data_dir / self.sample)

    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """Check that the content has the requested images, with valid boxes."""
        value, problems = json_of(content)
        entries = value.get("annotations") if isinstance(value, dict) else None
        if problems or not isinstance(entries, list) or not all(map(is_entry, entries)):
            needed = '{"annotations": [{"file_name": text, "objects": [{…}, …]}, …]}'
            return Verdict(0, problems or [f"is no {needed}"])
        wanted = table.ids() if self.sample is None else listed_images(data_dir / self.sample)
        sizes, found = sizes_of(table), BoxProblems()
        for entry in entries:
            for item in entry["objects"]:
                name, box = entry["file_name"], item.get("position")
                found.look(name, box, item.get("confidence_score"), sizes.get(name))
                if item.get("class") not in self.classes:
                    found.add(f"are of no class of {', '.join(self.classes)}", name, item.get("class"))
        return Verdict(len(entries), key_problems([entry["file_name"] for entry in entries], wanted) + found.lines())

    def _object(self, box: np.ndarray, score: Any, label: Any) -> dict[str, Any]:
        return {"class": self.classes[label], "position": box.tolist(), "confidence_score": round(float(score), 4)}


@SUBMISSIONS.register("detection")
class CocoSubmission(BoxSubmission):
    """COCO's results: a list of image_id, category_id, bbox [x, y, width, height] to 0.01 pixel, and score.

    Images and categories have the numbers of the COCO file that the test reader read; otherwise they are numbered from 1,
    images in order of id.
    """

    def __init__(
        self,
        spec: DataSpec,
        file: FileName = "results.json",
    ) -> None:
        self.classes, self.file = spec.classes[OBJECT], file

    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """Return an entry for each box."""
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
        return (json.dumps(entries) + "\n").encode()

    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """Check that the boxes are valid, and that their images and categories exist. Images without boxes are in no entry."""
        entries, problems = json_of(content)
        if problems or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return Verdict(0, problems or ["is no list of objects {…}"])
        names, sizes, found = dict(zip(image_numbers(table), table.ids(), strict=True)), sizes_of(table), BoxProblems()
        categories = set(self._categories(table))
        for number, entry in enumerate(entries, 1):
            image, box = entry.get("image_id"), entry.get("bbox")
            name = names.get(image) if isinstance(image, int | str) else None
            place = name or f"entry {number}"
            if name is None:
                found.add("are of no image that is asked for", place, image)
            if not isinstance(entry.get("category_id"), int) or entry["category_id"] not in categories:
                found.add("are of no category that there is", place, entry.get("category_id"))
            corners = [*box[:2], box[0] + box[2], box[1] + box[3]] if four_numbers(box) else box
            found.look(place, corners, entry.get("score"), sizes.get(name or ""))
        return Verdict(len(table), found.lines())

    def _categories(self, table: SampleTable) -> list[int]:
        """Return the category's number of each class. Raises UserError if a class has no category."""
        if "categories" not in table.related:
            return list(range(1, len(self.classes) + 1))
        numbers = {row["name"]: int(row["id"]) for row in table.related["categories"].to_pylist()}
        missing = [name for name in self.classes if name not in numbers]
        if missing:
            raise UserError(
                f"{self.file}: {some(missing)}: no category of the file that says what to predict; there are: {some(numbers)}"
            )
        return [numbers[name] for name in self.classes]
