"""Check that evaluations are of the same samples and answers, and scored in the same way, before they are compared."""

from __future__ import annotations

from collections.abc import Sequence

from base.base_metric import METRICS
from base.evaluation import Evaluation
from base.table import some
from trainer.evaluation.held_out import metrics_of
from trainer.evaluation.truth import Truths, require_same_truth, truths_of
from trainer.experiment.resuming import plain
from utils.config import show
from utils.errors import UserError


def require_comparable(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """Return the scores of the first evaluation that another one computes in another way, each with the difference.

    Raises UserError if the evaluations differ in their samples, pairs, split or answers.
    """
    first, left_out = evaluations[0], dict[str, str]()
    truths, settings = _truths(first), _settings(first)
    for other in evaluations[1:]:
        _require_same_samples(first, other)
        its = _truths(other)
        advice = "compare --truth A or --truth B scores both on the labels of one side"
        require_same_truth(first.folder, truths, other.folder, its, advice)
        its_settings = _settings(other)
        for name in filter(its.__contains__, truths):
            here, there = truths[name], its[name]
            if here.classes != there.classes:
                left_out[name] = f"{some(here.classes, 6)} in {first.folder}, {some(there.classes, 6)} in {other.folder}"
            elif here.ids != there.ids:
                raise UserError(
                    f"{other.folder}: {name}: is of other pairs than in {first.folder}: {_apart(here.ids, there.ids)}"
                )
            elif settings[name] != its_settings[name]:
                left_out[name] = f"{settings[name]} in {first.folder}, {its_settings[name]} in {other.folder}"
    return left_out


def _require_same_samples(first: Evaluation, other: Evaluation) -> None:
    here, there = first.samples.ids(), other.samples.ids()
    if here != there:
        what = f"holds other samples than {first.folder}: {_apart(here, there)}"
        raise UserError(f"{other.folder}: {what}; only predictions of the same can be compared")
    if first.split != other.split:
        what = f"is of the split {other.split}, {first.folder} of {first.split}"
        raise UserError(f"{other.folder}: {what}; a model may have been trained on what the other holds out")


def _apart(here: Sequence[str], there: Sequence[str]) -> str:
    """Return which names are in one list only."""
    only = [(set(here) - set(there), "missing"), (set(there) - set(here), "more")]
    return ", ".join(f"{len(names):,} {what} ({some(sorted(names), 3)})" for names, what in only if names) or "in another order"


def _truths(evaluation: Evaluation) -> Truths:
    return truths_of(metrics_of(evaluation), evaluation.samples, evaluation.spec)


def _settings(evaluation: Evaluation) -> dict[str, str]:
    """Return score -> the type of its metric, with the arguments that change what the score means."""
    found: dict[str, str] = {}
    for value, metric in zip(evaluation.manifest.metrics, metrics_of(evaluation), strict=True):
        args = plain(METRICS.part(value["type"]).model_validate(value))["args"]
        listed = ", ".join(f"{key}: {show(args[key])}" for key in args if key not in metric.free)
        found |= dict.fromkeys(metric.names, f"{value['type']} ({listed})" if listed else value["type"])
    return found
