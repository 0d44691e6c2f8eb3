"""Class probabilities of labels as a kind of prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from base.contracts import DataSpec
from base.labels import combined_class, marginals
from base.predictions import Predictions
from inspection.attributes.labels import Labels, predicted_labels, texts_of
from inspection.kinds import BaseKind
from inspection.results import Result

COMBINED = "CombinedClassSubmission"  # a submission whose answers are computed from the predicted classes


class Attributes(BaseKind):
    """Class probabilities of labels."""

    task = "attributes"

    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether the columns hold the class probabilities of a label."""
        return bool(predicted_labels(schema, spec))

    def table(self, predictions: Predictions, spec: DataSpec) -> pd.DataFrame:
        """Return for each label a column of class names, and a column `<label>_probability` of their probabilities.

        A label that combines others is followed by its parts, each with its most probable class in the marginal distribution.
        """
        columns: dict[str, Any] = {"picture": predictions.ids()}
        for label in predicted_labels(predictions.columns.schema, spec):
            columns |= _answers(label, spec.classes[label], predictions.array(label))
            parts = spec.combined.get(label, {})
            each = marginals(predictions.array(label), [len(names) for names in parts.values()]) if parts else []
            for (part, names), probabilities in zip(parts.items(), each, strict=True):
                columns |= _answers(part, names, probabilities)
        return pd.DataFrame(columns)

    def corrections(self, result: Result, config: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, str]]]:
        """Return label -> (column of the reader, {class: text}), for every predicted label."""
        return {label: texts_of(config, label) for label in Labels(result).names}

    def columns(self, section: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return `id_column` and `answer_column` of the submission's arguments; None if one of them is not given."""
        names = _args(section).get("id_column"), _args(section).get("answer_column")
        return (str(names[0]), str(names[1])) if all(names) else None

    def expected(self, result: Result, section: Mapping[str, Any]) -> dict[str, str] | None:
        """Return sample id -> combined class of the most probable classes; samples that could not be read are left out."""
        if section.get("type") != COMBINED:
            return None
        labels = Labels(result)
        names = [str(name) for name in _args(section).get("labels") or labels.names]
        combined = combined_class([labels.answer(name) for name in names], [len(labels.classes(name)) for name in names])
        pairs = zip(result.predictions.ids(), combined.tolist(), strict=True)
        return {sample: str(answer) for sample, answer in pairs if answer >= 0}

    def shares(self, result: Result) -> dict[str, pd.DataFrame]:
        """Return label -> table with the columns class, in training, predicted, for every predicted label."""
        labels = Labels(result)
        return {name: _shares(labels, name) for name in labels.names}


def _answers(label: str, names: Sequence[str], probabilities: np.ndarray) -> dict[str, Any]:
    """Return the most probable class of each row, and its probability, as two columns. probabilities: (N, K) float."""
    best = probabilities.argmax(axis=1)
    return {label: [names[number] for number in best], f"{label}_probability": probabilities.max(axis=1)}


def _args(section: Mapping[str, Any]) -> Mapping[str, Any]:
    args = section.get("args")
    return args if isinstance(args, dict) else {}


def _shares(labels: Labels, name: str) -> pd.DataFrame:
    spec, classes, answer = labels.spec, labels.classes(name), labels.answer(name)
    counts = np.bincount(answer[answer >= 0], minlength=len(classes))
    trained = reported_counts(spec.counts.get(name), spec.merged.get(name), len(classes))
    return pd.DataFrame({"class": classes, "in training": trained / trained.sum(), "predicted": counts / max(counts.sum(), 1)})


def reported_counts(counts: Any, merged: Any, classes: int) -> np.ndarray:
    """Return the number of training samples of each reported class, (classes,), from the counts of the trained classes.

    merged: reported class of each trained class; empty if they are equal. The result is NaN if the counts are not known.
    """
    if not counts:
        return np.full(classes, np.nan)
    return np.bincount(merged if merged else range(classes), counts, classes)


KIND = Attributes()
