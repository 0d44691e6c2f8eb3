"""An evaluation on disk: predictions with what they were made by, the samples that they are of, and their scores.

It stands above base/saved/, whose files it fills: predictions and samples are tables, which the door does not need.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from base.contracts import DataSpec
from base.predictions import Predictions
from base.saved.names import PREDICTIONS, SAMPLES, SCORES
from base.saved.record import read_record
from base.table import SampleTable
from utils import files
from utils.errors import UserError

_ADVICE = "make it again with test.py"


@dataclass(frozen=True)
class Manifest:
    """The origin of predictions and the metrics that score them, as plain values stored in the predictions file.

    split: that was predicted. checkpoints: for each, its file and its SHA-256, or its fold and that of its weights.
    config_hash: None for folds. weights: of an ensemble's members. fitted: by metric, what was fitted on validation.
    metrics, views: the config's lists. monitor: the score that training watched, as `max val/f1`. group: the column of
    samples that belong together. data_dir: the data folder.
    """

    split: str
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    config_hash: str | None = None
    split_hash: str = ""
    weights: list[float] | None = None
    spec: DataSpec = field(default_factory=DataSpec)
    fitted: dict[str, Any] = field(default_factory=dict)
    metrics: list[Any] = field(default_factory=list)
    monitor: str = "min val/loss"
    group: str | None = None
    views: list[Any] = field(default_factory=list)
    data_dir: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values, from which `from_json` makes an equal manifest."""
        return {**{one.name: getattr(self, one.name) for one in fields(self)}, "spec": self.spec.as_json()}

    @classmethod
    def from_json(cls, values: Any, path: Path) -> Manifest:
        """Return the manifest that `as_json` wrote. Raises UserError naming `path` if a value is missing or of another type."""
        given = values if isinstance(values, dict) else {}
        wrong = [name for name, kind in _KINDS.items() if not isinstance(given.get(name, ...), kind)]
        if wrong:
            raise UserError(f"{path}: does not say what it is of ({wrong[0]} is missing, or damaged); {_ADVICE}")
        try:
            return cls(**{name: values[name] for name in _KINDS} | {"spec": DataSpec.from_json(values["spec"])})
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: spec is damaged ({error}); {_ADVICE}") from None


_KINDS: Mapping[str, Any] = {
    "split": str, "checkpoints": list, "config_hash": str | None, "split_hash": str, "weights": list | None, "spec": dict,
    "fitted": dict, "metrics": list, "monitor": str, "group": str | None, "views": list, "data_dir": str,
}  # fmt: skip


@dataclass(frozen=True, eq=False)  # hashed as the thing that it is: others keep answers by it
class Evaluation:
    """Predictions, their manifest, and the samples in the same order."""

    folder: Path
    predictions: Predictions
    manifest: Manifest
    samples: SampleTable

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the evaluation in a folder. Raises UserError if a file is missing, damaged, or of other samples."""
        if not (folder / SAMPLES).is_file() and (folder / PREDICTIONS).is_file():
            raise UserError(f"{folder / SAMPLES}: is not there; run test.py again to have the samples beside the predictions")
        predictions, values = Predictions.read(folder / PREDICTIONS)
        manifest = Manifest.from_json(values, folder / PREDICTIONS)
        samples = SampleTable.read(folder / SAMPLES)
        predictions.require_ids(samples)
        return cls(folder, predictions, manifest, samples)

    def write(self) -> None:
        """Write predictions, manifest and samples into the folder. Raises WriteError."""
        self.samples.write(self.folder / SAMPLES)
        self.predictions.write(self.folder / PREDICTIONS, self.manifest.as_json())

    @property
    def file(self) -> Path:
        """The predictions file, which stands for the evaluation where answers are kept by file."""
        return self.folder / PREDICTIONS

    @property
    def split(self) -> str:
        """The split that was predicted."""
        return self.manifest.split

    @property
    def spec(self) -> DataSpec:
        """Classes, and how often each was trained on."""
        return self.manifest.spec

    @property
    def group(self) -> str | None:
        """The column of samples that belong together, None if the samples have none."""
        return self.manifest.group if self.manifest.group in self.samples.names else None

    @property
    def monitor(self) -> str:
        """The score that training watched, as `max f1`."""
        return self.manifest.monitor.replace(" val/", " ")


def read_header(folder: Path) -> tuple[pa.Schema, Manifest]:
    """Return the columns of the predictions in a folder and their manifest, without the predictions. Raises UserError."""
    path = folder / PREDICTIONS
    try:
        schema = pq.read_schema(path)
        values = json.loads((schema.metadata or {})[b"laurel"])
    except (OSError, KeyError, ValueError, RecursionError, pa.ArrowException) as error:
        raise UserError(f"{path}: is not a predictions file ({str(error).splitlines()[0]})") from None
    return schema, Manifest.from_json(values, path)


def write_scores(folder: Path, scores: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> None:
    """Write scores by name, and the ends of their intervals; a score that is not finite becomes null. Raises WriteError."""
    plain: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in scores.items()}
    files.write_json(folder / SCORES, plain | ({"intervals": dict(intervals)} if intervals else {}))


def read_scores(folder: Path) -> dict[str, float]:
    """Return the finite scores in a folder by name; an empty dict if the file is missing or damaged."""
    try:
        values = read_record(folder / SCORES, "")
    except UserError:
        return {}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float) and abs(value) <= 1e300}
