"""Boxes as a kind of prediction."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa

from base.contracts import DataSpec
from base.detection.objects import OBJECT
from base.predictions import Predictions
from inspection.kinds import BaseKind
from inspection.submissions import Submission
from utils.errors import UserError


def parse_annotations(name: str, text: str) -> Submission:
    """Read {"annotations": [{"file_name", "objects"}]}, a row for each picture. Raises UserError if the text has another form."""
    try:
        entries = json.loads(text)["annotations"]
        keys = [str(entry["file_name"]) for entry in entries]
        answers = [json.dumps(entry["objects"], sort_keys=True) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{name}: is not a list of annotations ({error})") from None
    return Submission(name, keys, answers)


class Detection(BaseKind):
    """Boxes with a class and a score."""

    task = "detection"
    formats = {".json": parse_annotations}

    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether the columns hold boxes."""
        return "boxes" in schema.names

    def table(self, predictions: Predictions, spec: DataSpec) -> pd.DataFrame:
        """Return a row for each box: class, score in [0, 1], and corners in pixels of the picture; surest first in a picture."""
        names, counts = spec.classes[OBJECT], [len(scores) for scores in predictions.lists("scores")]
        boxes, scores, labels = (np.concatenate(predictions.lists(name)) for name in ("boxes", "scores", "labels"))
        table = pd.DataFrame({"picture": np.repeat(np.array(predictions.ids(), object), counts)})
        table["class"], table["score"] = [names[int(label)] for label in labels], scores
        table[["x1", "y1", "x2", "y2"]] = boxes.reshape(-1, 4)
        return table


KIND = Detection()
