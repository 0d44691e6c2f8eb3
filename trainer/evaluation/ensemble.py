"""Weights of an ensemble of groups or runs, fitted on their held-out samples: `python laurel.py ensemble A B -o DIR`.

`test.py -r DIR` predicts with the ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from base.base_metric import BaseMetric
from base.monitor import Monitor, unknown_score
from base.predictions import Predictions
from base.saved.door import Saved
from base.saved.ensemble import EnsembleRecord, Share
from base.saved.names import OUT_OF_FOLD
from base.table import SampleTable
from trainer.evaluation.held_out import held_out
from trainer.evaluation.predictor import FusedPredictor, fused
from trainer.evaluation.shelf import Shelf, hashes
from trainer.evaluation.testing import evaluate
from trainer.experiment import build
from utils.errors import UserError

ROUNDS = 50  # members chosen at most, so that weights are multiples of 2 % or coarser
METHOD = f"greedy selection with replacement, {ROUNDS} rounds, on what each member held out"


def fit(several: Sequence[Saved], folder: Path, monitor: str | None, shelf: Shelf) -> None:
    """Choose the weights, and write DIR/ensemble.json and the ensemble's predictions for the held-out samples.

    Raises UserError if the members differ in their held-out samples or in the labels of these.
    """
    both = shelf.open(several)
    assert isinstance(both, FusedPredictor)
    both.require_held_out()
    both.require_same_answers("valid")
    each = [held_out(member) for member in both.members]
    table, first = both.table("valid"), both.first
    metrics = build.build_metrics(first.loaded.experiment, first.loaded.spec)
    watched = MonitoredScore(monitor or each[0].monitor, metrics, table)

    def score(weights: Sequence[float]) -> float:
        return watched.score(fused(first, [one.predictions for one in each], weights))

    alone = [watched.score(one.predictions) for one in each]
    weights, best = greedy(len(each), score, watched.sign)
    predictions = fused(first, [one.predictions for one in each], weights)
    evaluate(FusedPredictor(both.members, weights), "valid", folder / OUT_OF_FOLD, predictions)
    fitted = {metric.state_key: metric.fit(predictions, table) for metric in metrics}
    shares = [
        Share(saved.path, weight, own, hashes(member))
        for saved, weight, own, member in zip(several, weights, alone, both.members, strict=True)
    ]
    record = EnsembleRecord(shares, watched.text, best, METHOD, {key: value for key, value in fitted.items() if value})
    record.write(folder)
    _say(record, watched.name, folder)


class MonitoredScore:
    """One score of predictions. text: `max f1` or `min eer`. Raises UserError where no metric computes it."""

    def __init__(self, text: str, metrics: Sequence[BaseMetric], table: SampleTable) -> None:
        monitor = Monitor(text)
        if monitor.mode not in ("max", "min"):
            raise UserError(f'--monitor: found "{text}"; allowed: max or min and the name of a score, as "max f1"')
        self.name, self.sign = monitor.name.removeprefix("val/"), 1.0 if monitor.mode == "max" else -1.0
        self.text, self.table = f"{monitor.mode} {self.name}", table
        self.metrics = [metric for metric in metrics if self.name in metric.names]
        if not self.metrics:
            raise UserError(f"--monitor: {unknown_score(self.name, [name for metric in metrics for name in metric.names])}")

    def score(self, predictions: Predictions) -> float:
        """Return the score of predictions, with the values (thresholds) that the metric fits on these predictions."""
        (metric,) = self.metrics
        metric.use(metric.fit(predictions, self.table))
        scores = metric.compute(predictions, self.table)
        if not math.isfinite(scores.get(self.name, math.nan)):
            raise UserError(f"--monitor: {self.name} cannot be computed on these samples; name another score")
        return scores[self.name]


def greedy(members: int, score: Callable[[Sequence[float]], float], sign: float = 1.0) -> tuple[list[float], float]:
    """Return weights (members,) of sum 1 and their score: ensemble selection with replacement (Caruana et al. 2004, section 2).

    Repeat: add the member with which the score is best; a member may be added several times; of equal members the first is
    added. The weights are those of the round with the best score, of equal rounds the first (with fewest members). sign: -1 if
    small scores are good. The score is of the samples that the weights were chosen on; with few members the bias is small.
    """
    known: dict[tuple[int, ...], float] = {}

    def value(counts: list[int]) -> float:
        key = tuple(count // math.gcd(*counts) for count in counts)
        if key not in known:
            known[key] = score([count / sum(key) for count in key])
        return sign * known[key]

    counts: list[int] = [0] * members
    best, kept = -math.inf, counts
    for _ in range(ROUNDS):
        counts = max(([*counts[:one], counts[one] + 1, *counts[one + 1 :]] for one in range(members)), key=value)
        if value(counts) > best:
            best, kept = value(counts), counts
    return [count / sum(kept) for count in kept], sign * best


def _say(record: EnsembleRecord, score: str, folder: Path) -> None:
    for share in record.shares:
        print(f"{share.weight:>8.2f}  {score} alone {share.alone:.6f}  {share.path}")
    print(f"{score} together {record.score:.6f}; as one: python test.py -r {folder}")
