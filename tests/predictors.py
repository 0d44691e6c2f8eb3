"""Models that predict one number for each sample, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from base.base_data_loader import Folds
from base.contracts import DataSpec
from base.predictions import Predictions, average
from base.table import SampleTable
from trainer.evaluation.predictor import Checkpoint


def table(ids: str) -> SampleTable:
    """Samples that are called by a letter each."""
    return SampleTable.from_columns(Path("/pictures"), {"id": list(ids), "path": list(ids)})


class Fake(Checkpoint):
    """A checkpoint that predicts `value` for every sample. samples: split -> ids, a letter each.

    labels: column -> id -> class number, for tables with labels.
    """

    labels: Mapping[str, Mapping[str, int]] = MappingProxyType({})

    def __init__(self, path: Path, value: float, fold: int = 0, split_hash: str = "here", **samples: str) -> None:
        self.value, self.fold, self.samples, self.closed = value, fold, samples, 0
        config = SimpleNamespace(trainer=SimpleNamespace(precision="fp32", monitor="max val/mean"))
        experiment = SimpleNamespace(hash="config", config=config, raw=SimpleNamespace(values={"views": [], "metrics": []}))
        state = {"split_hash": split_hash, "config": experiment.raw.values}
        loaded: Any = SimpleNamespace(
            path=path, experiment=experiment, state=state, spec=DataSpec(), digest=f"sha256 of {path.name}", exported=True,
            fitted={"Mean": {"threshold": 0.5}},
        )  # fmt: skip
        loader: Any = SimpleNamespace(
            split_hash="here", close=self._close, labelled=lambda split: True, group=None, data_dir=Path("/data"),
            fingerprint=dict, splits=list(samples),
        )  # fmt: skip
        super().__init__(loaded, loader, torch.device("cpu"))

    def _close(self) -> None:
        self.closed += 1

    @property
    def inference(self) -> Any:
        return SimpleNamespace(fuse=average)

    @property
    def folds(self) -> Folds | None:
        return Folds(3, self.fold, "split.fold")

    def table(self, split: str) -> SampleTable:
        found = table(self.samples[split])
        for name, of in self.labels.items():
            found = found.with_column(name, np.array([of[one] for one in self.samples[split]]))
        return found

    def predict(self, split: str, precision: str | None = None) -> Predictions:
        return self.values(list(self.samples[split]))

    def predict_from(self, loader: Any, split: str, precision: str | None = None) -> Predictions:
        return self.predict(split)

    def evaluate(self, split: str) -> tuple[Predictions, dict[str, float]]:
        return self.predict(split), {"loss": 2.0}

    def values(self, ids: Sequence[str]) -> Predictions:
        """Return the value for every id, in a column of two equal numbers."""
        return Predictions.of(ids, {"value": torch.full((len(ids), 2), self.value)})

    def picture(self, split: str, row: int) -> np.ndarray:
        return np.full((1, 1, 3), row, np.uint8)
