"""Labels as numbers: folding fine classes into reported ones, and joining several labels into one class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from base.contracts import DataSpec
from utils.config import did_you_mean


def combined_class(columns: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """One class per sample from several labels, as a mixed-radix number whose first digit is the first label.

    For labels of 3, 2 and 3 classes that is first * 6 + second * 3 + third.

    columns: an array (N,) of integers per label, -1 where not known. sizes: number of classes of each label.
    Returns (N,) int64, -1 where any label is not known. Raises ValueError for columns that differ in length, or hold
    a class beyond their size.
    """
    combined = np.zeros(len(columns[0]), np.int64)
    for column, size in zip(columns, sizes, strict=True):
        if column.shape != combined.shape or np.any(column >= size):
            raise ValueError(f"a label column has shape {column.shape} and a size of {size}; the first has {combined.shape}")
        combined = np.where((combined < 0) | (column < 0), -1, combined * size + column)
    return combined


def separated_class(combined: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """What `combined_class` was given: (N,) int64 per label, -1 in all where the combined class is -1."""
    digits = np.unravel_index(np.maximum(combined, 0), sizes)
    return [np.where(combined < 0, -1, digit) for digit in digits]


def marginals(probabilities: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """The probabilities of each label's classes, (N, size), from those of their combinations, (N, product of the sizes)."""
    grid = probabilities.reshape(len(probabilities), *sizes)
    axes = range(1, 1 + len(sizes))
    return [grid.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def combined_names(names: Sequence[Sequence[str]]) -> list[str]:
    """The name of every combined class, in order of its number, from the class names of each label."""
    return [", ".join(parts) for parts in itertools.product(*names)]


def reported(labels: np.ndarray, spec: DataSpec, label: str) -> np.ndarray:
    """The classes that samples are scored on, from those that are trained: (N,) integers, -1 (not known) stays -1."""
    if label not in spec.merged:
        return labels
    return np.where(labels < 0, -1, np.asarray(spec.merged[label], np.int64)[labels])


def unknown_label(label: str, spec: DataSpec) -> str:
    """The message for a label that the data do not have."""
    return f'the data have no label "{label}"{did_you_mean(label, spec.classes)}; allowed: {", ".join(spec.classes)}'
