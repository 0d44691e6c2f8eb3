"""The parts for class probabilities of the pages that all tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from base.contracts import DataSpec
from inspection.attributes.labels import Labels
from inspection.attributes.views.looking import chosen_rows, label_box
from inspection.results import Result
from inspection.views.common import plain
from inspection.views.tasks import Lines, Score, TaskViews

if TYPE_CHECKING:
    from inspection.models import Answer


class AttributeViews(TaskViews):
    """A chart for each label. The map explains the probability of a class that the user chooses."""

    def show(self, said: Answer, picture: np.ndarray, spec: DataSpec) -> None:
        """Show the most probable class and the probabilities of each label."""
        for label in _labels(said, spec):
            _probabilities(label, spec.classes[label], said.prediction[label])

    def score(self, said: Answer, spec: DataSpec, key: str) -> Score:
        """Return a score: the log of the probability of the class that the user chooses (by default the most probable class)."""
        labels = _labels(said, spec)
        options = [(label, index) for label in labels for index in range(len(spec.classes[label]))]
        label, index = st.selectbox(
            "Why",
            options,
            index=options.index((labels[0], int(said.prediction[labels[0]].argmax()))),
            key=key,
            format_func=lambda option: f"{option[0]}: {spec.classes[option[0]][option[1]]}",
        )
        return lambda prediction: prediction[label][0, index].clamp_min(1e-12).log()

    def rows(self, result: Result) -> tuple[np.ndarray, Lines]:
        """Return the rows (n,) integers that fit the user's filters, in the chosen order, and their lines."""
        look = label_box(Labels(result))
        return chosen_rows(look), look.lines


def _labels(said: Answer, spec: DataSpec) -> list[str]:
    shapes = {name: (len(classes),) for name, classes in spec.classes.items()}
    return [name for name, value in said.prediction.items() if value.shape == shapes.get(name)]


def _probabilities(label: str, names: list[str], values: np.ndarray) -> None:
    plain(f"{label}: {names[int(values.argmax())]}")
    table = pd.DataFrame({"class": names, "probability": values.astype(float)})
    base = alt.Chart(table).encode(
        y=alt.Y("class:N", sort=names, title=None, axis=alt.Axis(labelLimit=140)),
        x=alt.X("probability:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=4)),
        tooltip=["class:N", alt.Tooltip("probability:Q", format=".2%")],
    )
    texts = base.mark_text(align="left", dx=4).encode(text=alt.Text("probability:Q", format=".0%"), x="probability:Q")
    st.altair_chart((base.mark_bar() + texts).properties(height=40 + 30 * len(names)))


SHARED = AttributeViews()
