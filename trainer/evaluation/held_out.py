"""Predictions of the held-out samples: read from the disk if they are of the same weights, made otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.base_metric import BaseMetric
from base.evaluation import Evaluation, read_header
from base.saved.door import is_evaluation
from base.saved.names import SAMPLES
from base.table import SampleTable
from trainer.evaluation.predictor import Predictor
from trainer.evaluation.testing import evaluate, say_other_data
from trainer.experiment import build
from utils.errors import UserError


def held_out(predictor: Predictor) -> Evaluation:
    """Return the predictions of the validation samples, or of all training samples for a group of folds.

    Raises UserError if a checkpoint may have been trained on its validation samples, or if a fold is missing.
    """
    predictor.require_held_out()
    predictor.require_whole()
    say_other_data(predictor)
    folder = predictor.folder("valid")
    if not _fresh(folder, predictor):
        evaluate(predictor, "valid", folder)
    return Evaluation.read(folder)


def metrics_of(evaluation: Evaluation) -> list[BaseMetric]:
    """Return the metrics of an evaluation's config, with their fitted values. Raises UserError if a metric is not registered."""
    metrics = build.metrics_of(evaluation.manifest.metrics, evaluation.spec)
    for metric in metrics:
        metric.use(evaluation.manifest.fitted.get(metric.state_key, {}))
    return metrics


def _fresh(folder: Path, predictor: Predictor) -> bool:
    """Return whether the folder holds an evaluation that was made with these weights and views, of these samples and labels."""
    if not is_evaluation(folder):
        return False
    try:
        _, manifest = read_header(folder)
        if SampleTable.read(folder / SAMPLES).digest() != predictor.table("valid").digest():
            return False
    except UserError:
        return False
    views = predictor.first.loaded.experiment.raw.values.get("views", [])
    return (_sources(manifest.checkpoints), manifest.views) == (_sources(predictor.origin("valid")["checkpoints"]), views)


def _sources(checkpoints: Sequence[dict[str, Any]]) -> list[str]:
    return [str(entry.get("sha256") or entry.get("weights")) for entry in checkpoints]
