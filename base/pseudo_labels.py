"""Labels that a model proposes for samples without any, and what a loader must do to train on them."""

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
    """One label of one sample in each place of the arrays, all (N,)."""

    rows: np.ndarray  # int64, of the split's table
    labels: np.ndarray  # text, the label's name
    classes: np.ndarray  # int64, of that label
    confidence: np.ndarray  # float64 in 0..1
    notes: tuple[str, ...] = ()  # lines for the user: what was left out

    @classmethod
    def joined(cls, parts: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], notes: Sequence[str] = ()) -> PseudoLabels:
        """Of (label, rows, classes, confidence), one for each label."""
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
        """Those at the given places."""
        return PseudoLabels(self.rows[places], self.labels[places], self.classes[places], self.confidence[places], self.notes)

    def surest(self, threshold: float, share: float) -> PseudoLabels:
        """Of each class of each label the surest: at most this share of them, rounded up, and none below the threshold."""
        kept = [np.zeros(0, np.int64)]
        for label in dict.fromkeys(self.labels.tolist()):
            for number in np.unique(self.classes[self.labels == label]).tolist():
                members = np.flatnonzero((self.labels == label) & (self.classes == number))
                order = members[np.argsort(-self.confidence[members], kind="stable")]  # of equally sure ones the first
                best = order[: math.ceil(share * len(order) - 1e-9)]
                kept.append(best[self.confidence[best] >= threshold])
        return self.take(np.sort(np.concatenate(kept)))

    def write(self, path: Path, table: SampleTable, spec: DataSpec) -> None:
        """A CSV file with the columns id, label, class and confidence. table: of the split. Raises WriteError."""
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(("id", "label", "class", "confidence"))
        cells = zip(self.rows.tolist(), self.labels.tolist(), self.classes.tolist(), self.confidence.tolist(), strict=True)
        out.writerows((table.id(row), label, spec.classes[label][number], repr(sure)) for row, label, number, sure in cells)
        files.write_bytes(path, text.getvalue().encode())

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        import torch

        names = sorted(set(self.labels.tolist()))
        codes = np.array([names.index(name) for name in self.labels.tolist()], np.int64)
        arrays = {"rows": self.rows, "codes": codes, "classes": self.classes, "confidence": self.confidence}
        return {"names": names, **{key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in arrays.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PseudoLabels:
        """What `state_dict` gave; without notes."""
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
        """From the next epoch on, train on samples of a pool too, with these labels, instead of all that was adopted before.

        They are rows of `table("train")` behind the others. `order` has as many batches as before, and `spec` the same counts.
        weight: of one of them in the loss, in 0..1.
        """
