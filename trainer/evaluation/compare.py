"""Test if B is better than A, with a bootstrap that draws the same samples for both: `python laurel.py compare A B`.

A and B are runs, groups of folds, ensembles, or folders with the predictions.parquet and samples.parquet of the same
labelled samples. Each is scored by the metrics of its own config; scores of the same name are compared if they are computed
in the same way, and on the same answers: sides whose labels differ are refused, unless one side's labels are named for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from base.bootstrap import ROUNDS, Interval, middle
from base.evaluation import Evaluation
from base.monitor import Monitor, unknown_score
from base.saved.door import EvaluationFolder, Saved
from base.table import some
from trainer.evaluation.comparable import require_comparable
from trainer.evaluation.held_out import held_out, metrics_of
from trainer.evaluation.intervals import resampled, units_of
from trainer.evaluation.shelf import Shelf
from trainer.evaluation.truth import differing, truths_of
from utils.errors import UserError


class Difference(NamedTuple):
    """One score of both sides, and its difference."""

    name: str
    a: float
    b: float
    interval: Interval  # of b - a
    higher: float  # share of the rounds in which b is above a, equal ones counting half

    @property
    def difference(self) -> float:
        """The difference of the scores of all samples."""
        return self.b - self.a


class Comparison(NamedTuple):
    """The scores that both sides compute in the same way, and by name the difference of the way for the others."""

    differences: list[Difference]
    left_out: dict[str, str]


def print_comparison(
    a: Sequence[Saved], b: Sequence[Saved], metric: str | None, chosen: torch.device, truth: str | None = None
) -> None:
    """Print a row for each score that both sides have, and the verdict.

    a, b: if a side has several, the mean of their scores counts. metric: the score of the verdict, None for the score that the
    training of A monitored. truth: `A` or `B`, the side on whose labels both are scored; None if the labels must be the same.
    Raises UserError if the two sides cannot be compared.
    """
    with Shelf(chosen, verbosity=2) as shelf:
        first, second = ([evaluation(saved, shelf) for saved in side] for side in (a, b))
    if truth is not None:
        first, second = _on_labels_of((first if truth == "A" else second)[0], first, second)
    comparison = compare(first, second)
    differences = comparison.differences
    for name, ways in comparison.left_out.items():
        print(f"{name} is not compared, since it is computed in two ways: {ways}")
    width = max(len(one.name) for one in differences)
    print(f"{'':{width}}  {'A':>9}  {'B':>9}  {'B - A':>9}  {'95 % interval':^22}  B higher in")
    for one in differences:
        interval = f"{one.interval.low:>+9.4f} to {one.interval.high:>+9.4f}"
        print(f"{one.name:{width}}  {one.a:>9.4f}  {one.b:>9.4f}  {one.difference:>+9.4f}  {interval}  {one.higher:>6.1%}")
    samples, group = len(first[0].samples), _group([*first, *second])
    print(f"{samples:,} samples, {ROUNDS:,} rounds, drawn by {group or 'sample'}")
    print(verdict(comparison, metric or first[0].monitor))


def evaluation(saved: Saved, shelf: Shelf) -> Evaluation:
    """Return the predictions in a folder, or the predictions of a run, group or ensemble for its validation samples."""
    return Evaluation.read(saved.path) if isinstance(saved, EvaluationFolder) else held_out(shelf.open([saved]))


def _on_labels_of(named: Evaluation, *sides: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Return the sides with the samples and labels of one evaluation, and print whose labels these are and what differed.

    Raises UserError if an evaluation is of other samples, or defines its labels in another way.
    """
    print(f"labels of {named.folder}")
    return [[_on_labels(named, one) for one in side] for side in sides]


def _on_labels(named: Evaluation, one: Evaluation) -> Evaluation:
    definitions = [(spec.classes, spec.merged, spec.combined) for spec in (named.spec, one.spec)]
    if definitions[0] != definitions[1]:
        raise UserError(f"--truth: {one.folder}: defines its labels in another way than {named.folder}; test it with its labels")
    if one.samples.ids() == named.samples.ids():
        metrics = metrics_of(one)
        theirs, ours = (truths_of(metrics, table, one.spec) for table in (one.samples, named.samples))
        apart = {text: None for name in theirs for text in differing(theirs[name], ours[name])}
        if apart:
            print(f"{len(apart):,} labels differ in {one.folder}: {some(apart, 20)}")
    return replace(one, samples=named.samples)


def compare(a: Sequence[Evaluation], b: Sequence[Evaluation]) -> Comparison:
    """Return every score that both sides have. The score of a side is the mean over its evaluations.

    The paired bootstrap (Efron and Tibshirani 1993; over clusters if samples belong together): each round draws the same
    samples for all. Raises UserError if the evaluations are not of the same samples and answers, if their samples belong together
    in different ways, or if they have no score in common.
    """
    left_out = require_comparable([*a, *b])
    units = _units([*a, *b])
    (points_a, rounds_a), (points_b, rounds_b) = _scores(a, units), _scores(b, units)
    shared = [name for name in points_a if name in points_b and name in rounds_a and name in rounds_b]
    names = [name for name in shared if name not in left_out]
    if not names:
        if shared:
            raise UserError(f"A and B compute no score in the same way: {shared[0]}: {left_out[shared[0]]}; test both alike")
        found = [", ".join(points) or "none" for points in (points_a, points_b)]
        raise UserError(f"A and B have no score in common: {found[0]}; and {found[1]}")
    differences = []
    for name in names:
        apart = rounds_b[name] - rounds_a[name]
        apart = apart[np.isfinite(apart)]
        higher = float(np.mean((apart > 0) + 0.5 * (apart == 0))) if len(apart) else 0.5
        differences.append(Difference(name, points_a[name], points_b[name], middle(apart), higher))
    return Comparison(differences, left_out)


def verdict(comparison: Comparison, metric: str) -> str:
    """Return the verdict in one sentence. metric: `f1`, `max f1` or `min eer`. Raises UserError if that score is not compared."""
    monitor = Monitor(metric if metric.partition(" ")[0] in ("max", "min") else f"max {metric}")
    name, by_name = monitor.name.removeprefix("val/"), {one.name: one for one in comparison.differences}
    if name in comparison.left_out:
        raise UserError(f"--metric: {name} is computed in two ways: {comparison.left_out[name]}; test both alike")
    if name not in by_name:
        raise UserError(f"--metric: {unknown_score(name, by_name)}")
    one = by_name[name]
    low, high = one.interval
    figures = f"{name} {one.difference:+.3f} ({low:.3f} to {high:.3f})"
    if low <= 0 <= high:
        return f"no difference shown: {figures}"
    return f"{'B' if (low > 0) == (monitor.mode == 'max') else 'A'} is better: {figures}"


def _scores(side: Sequence[Evaluation], units: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the means over a side's evaluations of the scores of all samples, and of the scores of each round, (rounds,)."""
    points, rounds = [], []
    for one in side:
        metrics = metrics_of(one)
        points.append({name: value for metric in metrics for name, value in metric.compute(one.predictions, one.samples).items()})
        each = [resampled(metric, one.predictions, one.samples, units) for metric in metrics]
        rounds.append({name: values for found in each for name, values in found.items()})
    shared = [name for name in points[0] if all(name in other for other in points) and all(name in other for other in rounds)]
    return (
        {name: float(np.mean([found[name] for found in points])) for name in shared},
        {name: np.mean([found[name] for found in rounds], axis=0) for name in shared},
    )


def _group(evaluations: Sequence[Evaluation]) -> str | None:
    return next(filter(None, (one.group for one in evaluations)), None)


def _units(evaluations: Sequence[Evaluation]) -> np.ndarray:
    """Return the unit of each sample, (N,) int64: samples of a unit are drawn together.

    Raises UserError if the evaluations differ in their units.
    """
    first = evaluations[0]
    grouped = [units_of(one.samples, one.group) for one in evaluations if one.group is not None]
    for units in grouped[1:]:
        together = np.unique(np.stack([grouped[0], units]), axis=1).shape[1]
        if not together == len(np.unique(units)) == len(np.unique(grouped[0])):
            raise UserError(f"{first.folder}: its samples belong together in another way than those it is compared with")
    return grouped[0] if grouped else np.arange(len(first.samples))
