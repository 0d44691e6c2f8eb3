"""The choice of samples by label, filters and order, for the pages Mistakes and Fix. The address bar keeps the choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from inspection.attributes import figures as attributes
from inspection.attributes.labels import Labels
from inspection.results import Result
from inspection.views.common import QUERY

ANY = "any"


@dataclass(frozen=True)
class Look:
    """The chosen label of an evaluation. probabilities: (N, K) float64. truth, answer: (N,) integers, -1 if not known."""

    result: Result
    label: str
    names: list[str]
    probabilities: np.ndarray  # (N, K)
    truth: np.ndarray
    answer: np.ndarray

    @property
    def known(self) -> bool:
        """True if at least one sample has a truth."""
        return bool((self.truth >= 0).any())

    def lines(self, row: int) -> list[str]:
        """Return the lines to show for a sample: its id, truth and answer, the model's confidence, its loss."""
        sample = self.result.samples.id(row)
        if self.answer[row] < 0:
            return [sample, self.result.predictions.failed().get(sample, "no prediction")]
        truth = self.names[self.truth[row]] if self.truth[row] >= 0 else "?"
        said = f"{truth} → {self.names[self.answer[row]]}"
        loss = attributes.loss(self.probabilities[row : row + 1], self.truth[row : row + 1])[0]
        sure = f"{self.probabilities[row, self.answer[row]]:.0%} sure"
        return [sample, said, sure if np.isnan(loss) else f"{sure}, loss {loss:.2f}"]


def label_box(labels: Labels) -> Look:
    """Let the user choose the label."""
    label = st.selectbox("Label", labels.choices, key="label", bind=QUERY)
    classes, probabilities = labels.classes(label), labels.probabilities(label)
    return Look(labels.result, label, classes, probabilities, labels.truth(label), labels.answer(label))


def chosen_rows(look: Look) -> np.ndarray:
    """Let the user choose filters and an order; return the rows that fit, (n,) integers, in that order."""
    keep: np.ndarray = np.ones(len(look.truth), dtype=bool)
    first, second = st.columns(2), st.columns(4)
    orders = [name for name in attributes.ORDERS if look.known or "loss" not in name]
    order = first[0].selectbox("Order", orders, key="order", bind=QUERY)
    query = first[1].text_input("Search", key="query", bind=QUERY, placeholder="words in id, path or any column")
    if look.known:
        keep &= _is(look.truth, look.names, second[0].selectbox("Truth", [ANY, *look.names], key="truth", bind=QUERY))
    keep &= _is(look.answer, look.names, second[1].selectbox("Predicted", [ANY, *look.names], key="predicted", bind=QUERY))
    columns = look.result.attributes
    column = second[2].selectbox("Column", [ANY, *columns], key="column", bind=QUERY)
    if column in columns:
        value = second[3].selectbox("Value", columns[column], key="value", bind=QUERY)
        keep &= look.result.texts(column).astype(str) == value
    if look.known and st.toggle("Only mistakes", key="wrong", bind=QUERY):
        keep &= (look.truth >= 0) & (look.truth != look.answer)
    if query:
        keep &= look.result.matching(query)
    return attributes.ordered(np.flatnonzero(keep), order, look.probabilities, look.truth)


def _is(numbers: np.ndarray, names: list[str], wanted: str) -> np.ndarray:
    return np.asarray(numbers == names.index(wanted)) if wanted in names else np.ones(len(numbers), dtype=bool)
