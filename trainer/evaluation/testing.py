"""The command `test`: predict a split with checkpoints, groups or ensembles, score it if it has labels, write the submission."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from base.base_metric import BaseMetric
from base.bootstrap import Interval
from base.evaluation import Evaluation, Manifest, write_scores
from base.predictions import Predictions, differences
from base.saved.door import Saved
from base.saved.names import PREDICTIONS
from base.table import SampleTable, some
from data_loader.formats.repairs import repair_lines
from trainer.evaluation.intervals import intervals
from trainer.evaluation.predictor import Checkpoint, Predictor
from trainer.evaluation.shelf import Shelf
from trainer.experiment import build
from utils import config, files
from utils.config import Overrides
from utils.errors import UserError

# Keys that may differ from the checkpoint's config without making its fitted values (thresholds, temperatures) wrong.
_FITS_STILL = ("data_dir", "num_workers", "worker_timeout", "cache_mb", "batch_size", "test_reader", "corrections")


@dataclass(frozen=True)
class Fitted:
    """The values (for example thresholds) fitted on validation, which metrics and submissions use."""

    values: dict[str, Any]  # by metric
    note: str = ""  # for the user; empty if the values are the checkpoint's own


def run_test(
    several: Sequence[Saved], chosen: torch.device, *, split: str | None = None, output: Path | None = None,
    overrides: Overrides = (), verbosity: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Predict, write and score a split, and print the paths of the files; return the scores.

    split: `valid` or `test`; None for `test` if the config has a test_reader. output: a folder, None for one in the run's
    log. Raises UserError.
    """
    with Shelf(chosen, overrides, verbosity) as shelf:
        predictor = shelf.open(several)
        split = split or ("test" if "test" in predictor.first.loader.splits else "valid")
        if split == "valid":
            predictor.require_held_out()
            predictor.require_whole()
            say_other_data(predictor)
        return evaluate(predictor, split, output or predictor.folder(split))


def evaluate(predictor: Predictor, split: str, folder: Path, predictions: Predictions | None = None) -> dict[str, float]:
    """Write the predictions of a split, their scores and the submission into `folder`; return the scores, none without labels.

    The predictions are written first, so that they are kept if the labels are wrong. Raises UserError if the checkpoints have
    different labels.

    predictions: of the split, if they are made already.
    """
    if predictor.first.loader.labelled(split):
        predictor.require_same_answers(split)
    _make(folder)
    first, loader = predictor.first.loaded, predictor.first.loader
    metrics, table = build.build_metrics(first.experiment, first.spec), predictor.table(split)
    losses: dict[str, float] = {}
    if predictions is None and isinstance(predictor, Checkpoint):
        predictions, losses = predictor.evaluate(split)
    predictions = predictions or predictor.predict(split)
    predictions.require_ids(table)
    fitted = _fitted(metrics, predictor, split, predictions)
    Evaluation(folder, predictions, _manifest(predictor, split, fitted), table).write()
    print(f"predictions: {folder / PREDICTIONS} ({len(predictions):,} samples)")
    for note in filter(None, (*_repairs(table, predictions), fitted.note, _other_precision(predictor, split, predictions))):
        print(note)
    for metric in metrics:
        metric.use(fitted.values.get(metric.state_key, {}))
    labelled = loader.labelled(split)
    scores: dict[str, float] = {}
    if labelled:
        scores = losses | {name: value for metric in metrics for name, value in metric.compute(predictions, table).items()}
        held_out = split == "valid" and predictor.resampled
        ends: dict[str, Interval] = {}
        for metric in metrics if held_out else ():
            ends |= intervals(metric, predictions, table, loader.group)
        _score(scores, ends, folder)
    _draw((metric for metric in metrics if labelled or not metric.needs_truth), predictions, predictor, split, folder)
    submission = build.build_submission(first.experiment, first.spec)
    if submission is not None and split == "test":
        path = folder / submission.file_name
        for metric in metrics:
            predictions = metric.adjust(predictions)
        rows = submission.write(predictions, table, fitted.values, loader.data_dir, path)
        print(f"submission: {path} ({rows:,} rows)")
    return scores


def _repairs(table: SampleTable, predictions: Predictions) -> list[str]:
    """Return lines on what the reader understood otherwise than it is written, and on pictures that could not be read."""
    failed = predictions.failed()
    unread = f"warning: {len(failed)} images could not be read ({some(failed)}); their rows hold the reason"
    return [*repair_lines(table), *([unread] if failed else [])]


def _other_precision(predictor: Predictor, split: str, predictions: Predictions) -> str:
    """Return a line on the difference to predictions in the training's precision, if `trainer.precision` was overridden."""
    models = [one.loaded for one in predictor.checkpoints]
    own = {model.state["config"].get("trainer", {}).get("precision", "fp32") for model in models}
    asked = {model.experiment.config.trainer.precision for model in models}
    if own == asked or len(own) > 1:
        return ""
    precision = own.pop()
    reference = predictor.predict(split, precision)
    lines = [f"{name} by at most {most:.3g}, {mean:.3g} on average" for name, most, mean in differences(predictions, reference)]
    return f"in {asked.pop()} instead of {precision} predictions differ: {'; '.join(lines) or 'in what cannot be compared'}"


def _fitted(metrics: list[BaseMetric], predictor: Predictor, split: str, predictions: Predictions) -> Fitted:
    """Return the stored fitted values, or new values fitted on validation if the predictions were made in another way.

    predictions: of the split. If some checkpoint was trained on another split, no samples are validation for all checkpoints;
    then the values of the first checkpoint are used.
    """
    fitting = [metric for metric in metrics if type(metric).fit is not BaseMetric.fit]
    first, stored = predictor.first, predictor.stored(split)
    if not fitting:
        return Fitted(first.loaded.fitted)
    if stored and all(map(_as_trained, predictor.checkpoints)):
        return Fitted(stored)
    try:
        predictor.require_held_out()
        predictor.require_same_answers("valid")
    except UserError:
        note = f"warning: the checkpoints have no validation in common; used is what {first.path} fitted"
        return Fitted(first.loaded.fitted, note)
    valid = predictions if split == "valid" else predictor.predict("valid")
    table = predictor.table("valid")
    return Fitted(
        {metric.state_key: metric.fit(valid, table) for metric in fitting}, "fitted on validation with these predictions"
    )


def _as_trained(checkpoint: Checkpoint) -> bool:
    """Return whether predictions are made in the same way as in the validation that the values were fitted on."""
    stored, now = checkpoint.loaded.state["config"], checkpoint.loaded.experiment.raw.values
    changed = [key for key, _, _ in config.differences(stored, now)]
    free = [key for key in changed if key[:2] == ("data_loader", "args") and key[2] in _FITS_STILL]
    free += [key for key in changed if key[0] in ("submission", "budget") or (key[0] == "trainer" and key[1:] != ("precision",))]
    return len(free) == len(changed)


def _score(scores: dict[str, float], ends: dict[str, Interval], folder: Path) -> None:
    """Write and print scores, with the ends of their intervals."""
    write_scores(folder, scores, ends)
    for name, value in scores.items():
        interval = "  ({:.6f} to {:.6f})".format(*ends[name]) if name in ends else ""
        print(f"{name:>24}  {value:.6f}{interval}")


def _draw(metrics: Iterable[BaseMetric], predictions: Predictions, predictor: Predictor, split: str, folder: Path) -> None:
    for metric in metrics:
        drawn = metric.figures(predictions, predictor.table(split), lambda row: predictor.picture(split, row))
        for name, figure in drawn.items():
            files.write_atomically(folder / f"{name.replace('/', '-')}.png", lambda file, f=figure: f.savefig(file, dpi=120))  # type: ignore[misc]


def _manifest(predictor: Predictor, split: str, fitted: Fitted) -> Manifest:
    first, loader = predictor.first.loaded, predictor.first.loader
    return Manifest(
        split=split,
        **predictor.origin(split),
        spec=first.spec,
        fitted=fitted.values,
        metrics=first.experiment.raw.values.get("metrics", []),
        monitor=first.experiment.config.trainer.monitor,
        group=loader.group,
        views=first.experiment.raw.values.get("views", []),
        data_dir=str(loader.data_dir),
    )


def say_other_data(predictor: Predictor) -> None:
    """Warn if crops or corrections differ from the checkpoint's: then the scores are not the scores of the checkpoint."""
    for one in predictor.checkpoints:
        if changed := one.changed_data:
            print(f"warning: {one.path}: was trained on other {some(changed)} than these; its scores were others")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another with -o") from None
