"""The labels of an evaluation: classes, probabilities, truth and answers of each label, and of all labels together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from base.contracts import DataSpec
from base.labels import combined_class, combined_names
from data_loader.attributes.labels import Label
from inspection.attributes import figures
from inspection.results import Result

ALL_LABELS = "all labels together"
MAX_COMBINED = 64


def predicted_labels(schema: pa.Schema, spec: DataSpec) -> list[str]:
    """Return the labels whose class probabilities are among the columns of predictions."""
    widths = {column.name: column.type.list_size for column in schema if pa.types.is_fixed_size_list(column.type)}
    return [name for name, width in widths.items() if width == len(spec.classes.get(name, []))]


class Labels:
    """The labels that an evaluation predicts. ALL_LABELS is one more label: its classes are all combinations of classes."""

    def __init__(self, result: Result) -> None:
        self.result, self.spec = result, result.spec
        self.names = predicted_labels(result.predictions.columns.schema, self.spec)

    @property
    def choices(self) -> list[str]:
        """The labels, and ALL_LABELS if it has at most MAX_COMBINED classes."""
        size = int(np.prod([len(self.spec.classes[name]) for name in self.names]))
        return [*self.names, *([ALL_LABELS] if len(self.names) > 1 and size <= MAX_COMBINED else [])]

    def classes(self, label: str) -> list[str]:
        """Return the names of a label's classes; for ALL_LABELS the names of all combinations."""
        if label == ALL_LABELS:
            return combined_names([self.spec.classes[name] for name in self.names])
        return self.spec.classes[label]

    def probabilities(self, label: str) -> np.ndarray:
        """Return the class probabilities (N, K) float64, NaN for a sample without a prediction.

        For ALL_LABELS a probability is the product of the labels' probabilities.
        """
        if label != ALL_LABELS:
            return self.result.predictions.array(label).astype(np.float64)
        product = np.ones((len(self.result.predictions), 1))
        for name in self.names:
            product = (product[:, :, None] * self.probabilities(name)[:, None, :]).reshape(len(product), -1)
        return product

    def truth(self, label: str) -> np.ndarray:
        """Return the true class of every sample, (N,) integers, -1 if not known."""
        return self._joined(label, self.result.numbers)

    def answer(self, label: str) -> np.ndarray:
        """Return the most probable class of every sample, (N,) integers; -1 for a sample without a prediction.

        For ALL_LABELS the answer is the combination of each label's most probable class.
        """
        return self._joined(label, lambda name: figures.predicted(self.probabilities(name)))

    def _joined(self, label: str, numbers: Any) -> np.ndarray:
        if label != ALL_LABELS:
            return np.asarray(numbers(label))
        return combined_class([numbers(name) for name in self.names], [len(self.spec.classes[name]) for name in self.names])


def texts_of(config: Mapping[str, Any], label: str) -> tuple[str, dict[str, str]]:
    """Return the reader's column of a label, and class -> text in that column that the loader reads as the class.

    For a class that is a range of numbers the text is a number in the range. Both are empty if the config has no such label.
    """
    try:
        section = Label.model_validate(config["data_loader"]["args"]["labels"][label])
    except (KeyError, TypeError, ValidationError):
        return "", {}
    return section.column or label, {name: text for name in section.names if (text := _text(section, name)) is not None}


def _text(label: Label, name: str) -> str | None:
    if label.bins is not None:
        place = label.names.index(name)
        number = label.bins[place - 1] if place else label.bins[0] - 1
        return f"{number:g}"
    if label.values is not None:
        return next((text for text, value in label.values.items() if value == name), None)
    return name
