"""Embeddings as a kind of prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from base.base_metric import BaseMetric
from base.contracts import DataSpec
from base.predictions import Predictions
from base.verification.pairs import pair_scores
from inspection.kinds import BaseKind
from model.verification.scores import PairScores

EMBEDDING = "embedding"  # the column of predictions


class Verification(BaseKind):
    """A vector for each picture."""

    task = "verification"

    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether the columns hold an embedding."""
        return EMBEDDING in schema.names

    def table(self, predictions: Predictions, spec: DataSpec) -> pd.DataFrame:
        """Return the vector of each picture, (D,) float32, as one column."""
        return pd.DataFrame({"picture": predictions.ids(), EMBEDDING: list(predictions.array(EMBEDDING))})

    def vectors(self, predictions: Predictions) -> np.ndarray:
        """Return the embeddings (N, D) float32."""
        return predictions.array(EMBEDDING)

    def compared(self, first: np.ndarray, second: np.ndarray, metrics: Sequence[BaseMetric]) -> pd.DataFrame:
        """Return `similarity` of each two vectors and `same`, the decision at the threshold that was fitted on validation.

        Without a PairScores among the metrics the similarity is the cosine; without a threshold there is no `same`.
        """
        scores = next((metric for metric in metrics if isinstance(metric, PairScores)), PairScores())
        rows = np.arange(len(first))
        similarity = pair_scores(np.concatenate([first, second]), rows, rows + len(first), scores.distance)
        table = pd.DataFrame({"similarity": similarity})
        return table if scores.threshold is None else table.assign(same=similarity >= scores.threshold)


KIND = Verification()
