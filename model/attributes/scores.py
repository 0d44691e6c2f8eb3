"""Scores of several labels, each alone and all as one combined class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from base.base_metric import METRICS, BaseMetric, FigureMetric, Truth
from base.contracts import DataSpec, PictureOf
from base.labels import class_texts, combined_class, combined_names, marginals, reported, separated_class, unknown_label
from base.predictions import Predictions
from base.table import SampleTable, some
from base.types import Columns, Names, Rows
from model.attributes.measures import accuracy, confusion, macro_f1, resampled_scores
from utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Answers(NamedTuple):
    """Truth and prediction of one label, or of several combined."""

    truth: np.ndarray  # (N,) int64, -1 if not known
    predicted: np.ndarray  # (N,) int64
    confidence: np.ndarray  # (N,) probability of the predicted class
    classes: list[str]


def most_wrong(right: np.ndarray, confidence: np.ndarray, number: int) -> np.ndarray:
    """Return rows to look at, (number,) int64: up to half are wrong, the surest first; the others are spread over all samples.

    right: (N,) bool. confidence: (N,) float. N >= number.
    """
    wrong = np.flatnonzero(~right)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][: number // 2]
    rest = np.setdiff1d(np.arange(len(right)), worst)
    spread = np.linspace(0, len(rest) - 1, number - len(worst)).astype(int)
    return np.concatenate([worst, rest[spread]])


def answers(predictions: Predictions, table: SampleTable, spec: DataSpec, label: str) -> Answers:
    """Return truth and prediction of a label, in its reported classes; the truth is -1 if the table lacks the label.

    Raises UserError if samples have no prediction, or if predictions are not finite.
    """
    probabilities = predictions.array(label)  # (N, K)
    failed = predictions.failed()
    if failed:
        reason = next(iter(failed.values()))
        raise UserError(f"{len(failed)} samples have no prediction: {some(failed)} ({reason}); repair or exclude them")
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(bad):
        ids = some(predictions.ids()[row] for row in bad)
        raise UserError(
            f'{len(bad)} predictions of "{label}" are not finite: {ids}; the model has diverged, use an earlier checkpoint'
        )
    return Answers(true_classes(table, spec, label), probabilities.argmax(1), probabilities.max(1), spec.classes[label])


def true_classes(table: SampleTable, spec: DataSpec, label: str) -> np.ndarray:
    """Return the reported class of each sample for a label, (N,) integers; -1 if it is not known, as without such a column."""
    return reported(table.numbers(label) if label in table.names else np.full(len(table), -1), spec, label)


def combine_answers(several: list[Answers]) -> Answers:
    """Return the combined class of several labels, known if all of them are.

    Its confidence is the product of the labels' confidences.
    """
    sizes = [len(one.classes) for one in several]
    return Answers(
        combined_class([one.truth for one in several], sizes),
        combined_class([one.predicted for one in several], sizes),
        np.prod([one.confidence for one in several], axis=0),
        combined_names([one.classes for one in several]),
    )


def separated_answers(predictions: Predictions, combined: Answers, label: str, parts: dict[str, list[str]]) -> dict[str, Answers]:
    """Return each part of a combined label alone: the most probable class of its marginal distribution.

    A part is known if the combined class is known.
    """
    sizes = [len(classes) for classes in parts.values()]
    truths = separated_class(combined.truth, sizes)
    each = marginals(predictions.array(label), sizes)
    rows = zip(parts.items(), truths, each, strict=True)
    return {part: Answers(truth, p.argmax(1), p.max(1), classes) for (part, classes), truth, p in rows}


@METRICS.register("attributes", "pretext")
class AttributeScores(BaseMetric):
    """Accuracy and macro F1 of the combined class and of each label, over the samples whose labels are known.

    With a single label the two are equal, and given once. The parts of a label that combines others are scored too. A score
    is left out if no sample is known for it.
    """

    free = frozenset(("combine",))  # `truth` tells which classes a score is of

    def __init__(
        self,
        spec: DataSpec,
        combine: Annotated[
            Names | None,
            Field(description="the labels that make up the combined class, the first one its leading digit; null for all"),
        ] = None,
    ) -> None:
        for key, message in combine_problems(combine or [], spec):
            raise UserError(f"metrics: AttributeScores.args.{key}: {message}")
        self.spec, self.combine = spec, combine or list(spec.classes)

    @property
    def names(self) -> list[str]:
        """`accuracy`, `f1`, and the same with `/LABEL` for each label."""
        return [f"{score}{suffix}" for suffix in ("", *self._suffixes().values()) for score in ("accuracy", "f1")]

    def truth(self, table: SampleTable) -> dict[str, Truth]:
        """Return the true class of each sample, combined for `accuracy` and `f1`, of one label for the others."""
        known = {label: true_classes(table, self.spec, label) for label in self.spec.classes}
        classes = dict(self.spec.classes)
        for label, parts in self.spec.combined.items():
            each = separated_class(known[label], [len(names) for names in parts.values()])
            known, classes = dict(zip(parts, each, strict=True)) | known, parts | classes
        sizes, ids = [len(classes[label]) for label in self.combine], table.ids()
        together = combined_names([classes[label] for label in self.combine])
        of_all = combined_class([known[label] for label in self.combine], sizes)
        truths = {"": Truth(together, ids, class_texts(of_all, together))}
        for label, suffix in self._suffixes().items():
            truths[suffix] = Truth(classes[label], ids, class_texts(known[label], classes[label]))
        return {f"{score}{suffix}": truth for suffix, truth in truths.items() for score in ("accuracy", "f1")}

    def decisions(self, predictions: Predictions) -> np.ndarray:
        """Return the predicted class of every sample for every label, label after label, (N * labels,) int64."""
        return np.concatenate([predictions.array(label).argmax(1) for label in self.spec.classes])

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return name -> score in 0..1."""
        scores = {}
        for suffix, (truth, predicted, _, _) in self._views(predictions, table).items():
            known = truth >= 0
            if known.any():
                scores[f"accuracy{suffix}"] = accuracy(truth[known], predicted[known])
                scores[f"f1{suffix}"] = macro_f1(truth[known], predicted[known])
        return scores

    def resampled(self, predictions: Predictions, table: SampleTable, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return name -> scores, (B,) float64 each. times: (B, N) integers."""
        scores: dict[str, np.ndarray] = {}
        for suffix, (truth, predicted, _, _) in self._views(predictions, table).items():
            known = truth >= 0
            if known.any():
                pair = resampled_scores(truth[known], predicted[known], times[:, known])
                scores |= dict(zip((f"accuracy{suffix}", f"f1{suffix}"), pair, strict=True))
        return scores

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return `confusion`, and `confusion/LABEL` for each label."""
        from model.plots import confusion_figure

        plots = {}
        for suffix, (truth, predicted, _, classes) in self._views(predictions, table).items():
            known = truth >= 0
            title = suffix.removeprefix("/") or ", ".join(self.combine)
            plots[f"confusion{suffix}"] = confusion_figure(
                confusion(truth[known], predicted[known], len(classes)), classes, title
            )
        return plots

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Return (key, message) for labels that the data do not have, or that are named twice."""
        return combine_problems(args.combine or [], spec)

    def _suffixes(self) -> dict[str, str]:
        """Return label -> suffix of its score's name, for the labels that are scored besides the combined class."""
        labels = list(self.spec.classes) if len(self.spec.classes) > 1 else []
        labels += [part for parts in self.spec.combined.values() for part in parts if part not in self.spec.classes]
        return {label: f"/{label}" for label in labels}

    def _views(self, predictions: Predictions, table: SampleTable) -> dict[str, Answers]:
        each = {label: answers(predictions, table, self.spec, label) for label in self.spec.classes}
        all_of = combine_answers([each[label] for label in self.combine])
        for label, parts in self.spec.combined.items():
            each = separated_answers(predictions, each[label], label, parts) | each
        return {"": all_of, **{suffix: each[label] for label, suffix in self._suffixes().items()}}


@METRICS.register("attributes", "pretext")
class SampleGrid(FigureMetric):
    """A figure of pictures with truth and prediction: the surest mistakes first, then samples from all over the set."""

    needs_truth = False

    def __init__(
        self,
        spec: DataSpec,
        rows: Rows = 4,
        columns: Columns = 4,
    ) -> None:
        self.spec, self.rows, self.columns = spec, rows, columns

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return the figure `samples`; nothing if there are no samples."""
        from model.plots import Tile, grid_figure

        if not len(table):
            return {}
        each = {label: answers(predictions, table, self.spec, label) for label in self.spec.classes}
        wrong: np.ndarray = np.stack([(one.truth >= 0) & (one.truth != one.predicted) for one in each.values()])  # (labels, N)
        sureness = np.stack([one.confidence for one in each.values()])
        surest = np.where(wrong, sureness, 0).max(0)
        rows = most_wrong(np.logical_not(wrong.any(0)), surest, min(self.rows * self.columns, len(table)))
        tiles = [Tile(picture_of(int(row)), _lines(each, int(row)), bool(wrong[:, row].any())) for row in rows]
        return {"samples": grid_figure(tiles, self.columns)}


def combine_problems(combine: list[str], spec: DataSpec) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for labels that the data do not have, or that are named twice.

    Yield nothing while the labels are not known.
    """
    for index, label in enumerate(combine if spec.classes else ()):
        if label not in spec.classes:
            yield f"combine[{index}]", unknown_label(label, spec)
        elif label in combine[:index]:
            yield f"combine[{index}]", f'"{label}" is given twice; keep one'


def _lines(each: dict[str, Answers], row: int) -> list[str]:
    """Return one line `label: truth → prediction 97 %` for each label of a sample."""
    lines = []
    for label, (truth, predicted, confidence, classes) in each.items():
        name = classes[truth[row]] if truth[row] >= 0 else "?"
        lines.append(f"{label}: {name} → {classes[predicted[row]]} {confidence[row]:.0%}")
    return lines
