"""Predictions of validation samples as files: read where they are there and fresh, made where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.base_metric import BaseMetric
from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from trainer.evaluation.predictor import Predictor
from trainer.evaluation.testing import evaluate
from trainer.experiment import build
from utils.errors import UserError

PREDICTIONS, SAMPLES = "predictions.parquet", "samples.parquet"


@dataclass(frozen=True)
class Evaluation:
    """Predictions, the samples in the same order, and what scores them."""

    folder: Path
    predictions: Predictions
    table: SampleTable
    manifest: dict[str, Any]

    @property
    def group(self) -> str | None:
        """The column of samples that belong together."""
        found = self.manifest.get("group")
        return found if found in self.table.names else None

    @property
    def monitor(self) -> str:
        """The score that training watched, as `max f1`."""
        return str(self.manifest["monitor"]).replace(" val/", " ")

    def metrics(self) -> list[BaseMetric]:
        """The metrics of its config, with what was fitted on validation."""
        keys = ("classes", "counts", "merged", "combined")
        spec = DataSpec.from_json({key: dict(self.manifest[key]) for key in keys})
        metrics = build.metrics_of(self.manifest["metrics"], spec)
        for metric in metrics:
            metric.use(self.manifest["fitted"].get(metric.state_key, {}))
        return metrics


def is_evaluation(folder: Path) -> bool:
    """Whether a folder holds predictions with their samples."""
    return (folder / PREDICTIONS).exists() and (folder / SAMPLES).exists()


def read(folder: Path) -> Evaluation:
    """What test.py wrote into a folder. Raises UserError where it did not, or an older one did."""
    predictions, manifest = Predictions.read(folder / PREDICTIONS)
    table = SampleTable.read(folder / SAMPLES)
    lacking = [key for key in ("metrics", "monitor", "classes", "counts", "merged", "combined", "fitted") if key not in manifest]
    if lacking:
        raise UserError(
            f"{folder / PREDICTIONS}: does not say what scores it ({lacking[0]} is missing); make it again with test.py"
        )
    predictions.require_ids(table)
    return Evaluation(folder, predictions, table, manifest)


def held_out(predictor: Predictor) -> Evaluation:
    """Predictions of the validation samples, of all training samples for a group of folds."""
    predictor.require_held_out()
    predictor.require_whole()
    folder = predictor.folder("valid")
    if not _fresh(folder, predictor):
        evaluate(predictor, "valid", folder)
    return read(folder)


def _fresh(folder: Path, predictor: Predictor) -> bool:
    """Whether the files are there, and of these weights and views."""
    if not is_evaluation(folder):
        return False
    manifest = Predictions.read(folder / PREDICTIONS)[1]
    wanted = _sources(predictor.origin("valid")), predictor.first.loaded.experiment.raw.values.get("views", [])
    return "monitor" in manifest and (_sources(manifest), manifest.get("views")) == wanted


def _sources(manifest: dict[str, Any]) -> list[str]:
    return [str(entry.get("sha256") or entry.get("weights")) for entry in manifest.get("checkpoints", [])]
