"""Boxes as a kind of prediction."""

from __future__ import annotations

import json

import pyarrow as pa

from base.contracts import DataSpec
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


KIND = Detection()
