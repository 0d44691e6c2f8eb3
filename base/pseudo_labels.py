"""Hold the labels that a model proposes for samples without labels; the protocol of loaders that train on them."""

from __future__ import annotations

import csv
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from utils import files


@dataclass(frozen=True)
class PseudoLabels:
    """Proposed labels: item i of each array (N,) describes one label of one sample."""

    rows: np.ndarray  # int64, rows of the split's table
    labels: np.ndarray  # text, the label's name
    classes: np.ndarray  # int64, the class of the label
    confidence: np.ndarray  # float64 in 0..1
    notes: tuple[str, ...] = ()  # lines for the user about samples that were left out

    @classmethod
    def joined(cls, parts: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], notes: Sequence[str] = ()) -> PseudoLabels:
        """Join parts (label, rows, classes, confidence), one for each label; the three arrays are (n,) each."""
        names = [np.full(len(rows), name, object) for name, rows, _, _ in parts]
        empty = np.zeros(0, object)
        rows, classes, confidence = (np.concatenate([empty, *(part[place] for part in parts)]) for place in (1, 2, 3))
        return cls(
            rows.astype(np.int64),
            np.concatenate([empty, *names]),
            classes.astype(np.int64),
            confidence.astype(np.float64),
            tuple(notes),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: np.ndarray) -> PseudoLabels:
        """Return the items at the given places (n,) int64."""
        return PseudoLabels(self.rows[places], self.labels[places], self.classes[places], self.confidence[places], self.notes)

    def surest(self, threshold: float, share: float) -> PseudoLabels:
        """Keep the most confident items of each class of each label: `share` of them, rounded up, and none below `threshold`."""
        kept = [np.zeros(0, np.int64)]
        for label in dict.fromkeys(self.labels.tolist()):
            for number in np.unique(self.classes[self.labels == label]).tolist():
                members = np.flatnonzero((self.labels == label) & (self.classes == number))
                order = members[np.argsort(-self.confidence[members], kind="stable")]  # among equal ones the first
                best = order[: math.ceil(share * len(order) - 1e-9)]
                kept.append(best[self.confidence[best] >= threshold])
        return self.take(np.sort(np.concatenate(kept)))

    def write(self, path: Path, table: SampleTable, spec: DataSpec) -> None:
        """Write a CSV file with the columns id, label, class and confidence. table: the split's table.

        Raises WriteError if the file cannot be written.
        """
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(("id", "label", "class", "confidence"))
        cells = zip(self.rows.tolist(), self.labels.tolist(), self.classes.tolist(), self.confidence.tolist(), strict=True)
        out.writerows((table.id(row), label, spec.classes[label][number], repr(sure)) for row, label, number, sure in cells)
        files.write_bytes(path, text.getvalue().encode())

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors (N,) and plain values."""
        import torch

        names = sorted(set(self.labels.tolist()))
        codes = np.array([names.index(name) for name in self.labels.tolist()], np.int64)
        arrays = {"rows": self.rows, "codes": codes, "classes": self.classes, "confidence": self.confidence}
        return {"names": names, **{key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in arrays.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PseudoLabels:
        """Make the labels from the state of `state_dict`, without notes."""
        names = np.array([*state["names"], ""], object)
        rows, codes, classes, confidence = (state[key].numpy() for key in ("rows", "codes", "classes", "confidence"))
        return cls(rows, names[codes], classes, confidence)


class PseudoLabelled(ABC):
    """A loader that can also train on samples without labels, once a model has proposed labels for them."""

    @property
    @abstractmethod
    def pools(self) -> tuple[str, ...]:
        """The splits of samples without labels; empty if the config has none."""

    @abstractmethod
    def pseudo_labels(self, split: str, predictions: Predictions) -> PseudoLabels:
        """Return the labels that predictions of a pool propose, none for samples that would bring validation into training."""

    @abstractmethod
    def adopt(self, split: str, labels: PseudoLabels, weight: float) -> None:
        """Train also on samples of a pool, with the given labels, from the next epoch on; they replace all adopted before.

        The samples become the last rows of `table("train")`. The number of batches in `order` and the counts of `spec` stay.
        weight: the weight of each of these samples in the loss, in 0..1.
        """
