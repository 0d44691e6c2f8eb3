"""Functions for labels as numbers: map trained classes to reported ones, and combine several labels into one class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from base.contracts import DataSpec
from utils.config import did_you_mean


def combined_class(columns: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Return one class per sample from several labels: a mixed-radix number whose first digit is the first label.

    For labels of 3, 2 and 3 classes the number is first * 6 + second * 3 + third.

    columns: an array (N,) of integers for each label, -1 if not known. sizes: number of classes of each label.
    Returns (N,) int64, -1 if any label of the sample is not known. Raises ValueError if columns differ in length, or hold a
    class beyond their size.
    """
    combined = np.zeros(len(columns[0]), np.int64)
    for column, size in zip(columns, sizes, strict=True):
        if column.shape != combined.shape or np.any(column >= size):
            raise ValueError(f"a label column has shape {column.shape} and a size of {size}; the first has {combined.shape}")
        combined = np.where((combined < 0) | (column < 0), -1, combined * size + column)
    return combined


def separated_class(combined: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Return the columns that `combined_class` combined: (N,) int64 for each label, -1 in all if the combined class is -1.

    combined: (N,) int64. sizes: number of classes of each label.
    """
    digits = np.unravel_index(np.maximum(combined, 0), sizes)
    return [np.where(combined < 0, -1, digit) for digit in digits]


def marginals(probabilities: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Return each label's class probabilities, (N, size) float, from the combined classes' (N, product of the sizes) float."""
    grid = probabilities.reshape(len(probabilities), *sizes)
    axes = range(1, 1 + len(sizes))
    return [grid.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def combined_names(names: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the combined classes, in order of their numbers, from the class names of each label."""
    return [", ".join(parts) for parts in itertools.product(*names)]


def reported(labels: np.ndarray, spec: DataSpec, label: str) -> np.ndarray:
    """Return the reported classes for trained classes `labels`: both (N,) integers; -1 (not known) stays -1."""
    if label not in spec.merged:
        return labels
    return np.where(labels < 0, -1, np.asarray(spec.merged[label], np.int64)[labels])


def class_texts(numbers: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the names (N,) of classes by their numbers (N,) integers; "not known" for -1."""
    names: np.ndarray = np.array([*classes, "not known"])[numbers]
    return names


def unknown_label(label: str, spec: DataSpec) -> str:
    """Return the error message for a label that the data do not have."""
    return f'the data have no label "{label}"{did_you_mean(label, spec.classes)}; allowed: {", ".join(spec.classes)}'
