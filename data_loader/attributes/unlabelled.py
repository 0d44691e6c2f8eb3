"""Training on samples without labels, with labels that a model proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from base.contracts import DataSpec
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabels
from base.table import SampleTable
from data_loader.attributes.labels import MISSING
from data_loader.crop.crops import COLUMN
from data_loader.samples import duplicates
from utils.errors import UserError
from utils.seed import generator


@dataclass(frozen=True)
class Adopted:
    """The training samples: samples with labels of their own first, then samples with proposed labels.

    own: number of samples with labels of their own. weight: weight of a sample with proposed labels, in 0..1.
    """

    table: SampleTable
    own: int
    weight: float

    def deal(self, batches: list[np.ndarray], seed: int, epoch: int) -> list[np.ndarray]:
        """Return every batch with its part of the adopted samples, shuffled, so that pieces and processes get some of both kinds.

        The number of batches stays the same, because the learning rate is a function of the step.
        """
        rng = generator(seed, "adopted", epoch)
        parts = np.array_split(rng.permutation(np.arange(self.own, len(self.table))), len(batches))
        return [rng.permutation(np.concatenate(both)) for both in zip(batches, parts, strict=True)]

    def shares(self, rows: np.ndarray) -> np.ndarray:
        """Return the weight of each row, (B,) float32. rows: (B,) integers."""
        return np.where(rows < self.own, 1.0, self.weight).astype(np.float32)


def adopted(
    train: SampleTable, pool: SampleTable, split: str, proposed: PseudoLabels, labels: Sequence[str], weight: float
) -> Adopted:
    """Return the training samples, and behind them the samples of a pool that have a proposed label.

    Labels without a proposal are not known. The id of an adopted sample is `SPLIT:ID`.
    """
    rows = np.unique(proposed.rows)
    columns: dict[str, Any] = {
        "id": [*train.ids(), *(f"{split}:{pool.id(row)}" for row in rows.tolist())],
        "path": _absolute(train) + _absolute(pool.take(rows)),
    }
    for name in labels:
        values, mine = np.full(len(rows), MISSING, np.int64), proposed.labels == name
        values[np.searchsorted(rows, proposed.rows[mine])] = proposed.classes[mine]
        columns[name] = np.concatenate([train.numbers(name).astype(np.int64), values])
    if COLUMN in train.names:
        columns[COLUMN] = pa.chunked_array([*train.columns[COLUMN].chunks, *pool.take(rows).columns[COLUMN].chunks])
    return Adopted(SampleTable(Path("/"), pa.table(columns)), len(train), weight)


def propose(predictions: Predictions, spec: DataSpec, held_out: np.ndarray) -> PseudoLabels:
    """Return the most probable class of every label of every sample, and its probability.

    held_out: (N,) bool, samples that get no proposal. Samples without a prediction get none either, nor labels that are
    trained in finer classes than they are predicted in. Raises UserError if no label is left.
    """
    finer = [name for name in spec.classes if name in spec.merged]
    if len(finer) == len(spec.classes):
        raise UserError(f"trainer: {', '.join(finer)}: trained in finer classes than are predicted, which cannot be proposed")
    parts = []
    for name in spec.classes:
        if name not in finer:
            probabilities = predictions.array(name)  # (N, K), NaN for samples without a prediction
            rows = np.flatnonzero(np.isfinite(probabilities).all(axis=1) & ~held_out)
            classes = probabilities[rows].argmax(axis=1)
            parts.append((name, rows, classes, probabilities[rows, classes]))
    notes = [f"no pseudo-labels for {', '.join(finer)}, trained in finer classes than are predicted"] if finer else []
    if held_out.any():
        notes.append(f"no pseudo-labels for {int(held_out.sum()):,} samples that show files or groups which are validated on")
    return PseudoLabels.joined(parts, notes)


def validated_on(pool: SampleTable, valid: SampleTable, group: str | None, check_bytes: bool) -> np.ndarray:
    """Return True for samples of a pool that would bring validation samples into training, (N,) bool.

    A sample is one if a validation sample has the same file, or the same group.
    """
    shared = np.zeros(len(pool), bool)
    if check_bytes:
        both = duplicates.concatenated(pool, valid)
        for members in duplicates.identical_files(both):
            rows = np.array(members)
            if (rows >= len(pool)).any():
                shared[rows[rows < len(pool)]] = True
    if group is not None and group in pool.names and group in valid.names:
        theirs = set(valid.strings(group)) - {""}
        shared |= np.array([name in theirs for name in pool.strings(group)], bool)
    return shared


def _absolute(table: SampleTable) -> list[str]:
    return [str(Path(table.root, path).absolute()) for path in table.paths()]
