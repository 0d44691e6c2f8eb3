"""The parts for embeddings of the pages that all tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from base.contracts import DataSpec
from inspection.verification.kind import EMBEDDING
from inspection.views.tasks import Score, TaskViews

if TYPE_CHECKING:
    from inspection.models import Answer

SHOWN = 8  # numbers of an embedding


class VerificationViews(TaskViews):
    """The first numbers of the embedding. The map explains its largest numbers."""

    def show(self, said: Answer, picture: np.ndarray, spec: DataSpec) -> None:
        """Show the size of the embedding, its length and its first numbers."""
        values = said.prediction[EMBEDDING]
        st.metric("Numbers in the embedding", len(values))
        first = ", ".join(f"{value:.3f}" for value in values[:SHOWN])
        st.caption(f"length {np.linalg.norm(values):.3f}; it begins {first}, …")

    def score(self, said: Answer, spec: DataSpec, key: str) -> Score:
        """Return a score: the sum of the squares of the embedding's largest coordinates."""
        return _most_typical


def _most_typical(prediction: dict[str, Any]) -> Any:
    """Return the sum of the largest 8 squares, a scalar. All squares together give 1: the length of an embedding is always 1."""
    embedding = prediction[EMBEDDING][0]
    return embedding[embedding.detach().abs().topk(min(8, len(embedding))).indices].square().sum()


SHARED = VerificationViews()
