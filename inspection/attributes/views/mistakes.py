"""The page Mistakes: confusion matrix, samples, calibration, and accuracy by the values of each column."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from inspection.attributes import figures as attributes
from inspection.attributes.kind import KIND
from inspection.attributes.labels import Labels
from inspection.attributes.views.looking import Look, chosen_rows, label_box
from inspection.text import number, share
from inspection.views.common import QUERY, View, chosen_result, chosen_run, gallery, no_run_chosen, pages

PARTS = ("Samples", "Calibration", "Slices")
PICK = "cell"
HELP = {"ECE": "expected calibration error: how far confidence and accuracy are apart, on average"}
LEAST = 10


def show() -> None:
    """Show the confusion matrix, and below it samples, calibration or slices."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    left, right = st.columns(2)
    with left:
        result = chosen_result(run, VIEW.kinds)
    if result is None:
        return
    with right:
        look = label_box(Labels(result))
    if look.known:
        _figures(look)
        _matrix(look)
    else:
        st.info("These samples have no truth to compare with: least certain first.")
    part = st.segmented_control(
        "Show", PARTS, default=PARTS[0], key="part", bind=QUERY, required=True, label_visibility="collapsed"
    )
    {PARTS[0]: _samples, PARTS[1]: _calibration, PARTS[2]: _slices}[part or PARTS[0]](look)


def _figures(look: Look) -> None:
    figures = attributes.figures(look.probabilities, look.truth, look.answer)
    values = {
        "Samples": f"{figures.samples:,}", "Wrong": f"{figures.wrong:,}", "Accuracy": share(figures.accuracy),
        "Macro F1": number(figures.f1), "Loss": number(figures.loss), "ECE": share(figures.calibration),
    }  # fmt: skip
    with st.container(horizontal=True):
        for name, value in values.items():
            st.metric(name, value, width=105, help=HELP.get(name))


def _matrix(look: Look) -> None:
    """Show the confusion matrix; a click on a cell sets the two class filters."""
    size = len(look.names)
    counts = attributes.confusion(look.truth, look.answer, size)
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = np.array(look.names, dtype=object)
    table = pd.DataFrame({"truth": names[rows], "predicted": names[columns], "row": rows, "column": columns,
                          "samples": counts.reshape(-1), "share": shares.reshape(-1)})  # fmt: skip
    axis: dict[str, Any] = {"labelLimit": 160, "labelAngle": 0 if size <= 4 else -40}
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=look.names, title="predicted", axis=alt.Axis(orient="top", **axis)),
        y=alt.Y("truth:N", sort=look.names, title="truth", axis=alt.Axis(labelLimit=160)),
        tooltip=["truth:N", "predicted:N", "samples:Q", alt.Tooltip("share:Q", format=".1%", title="of this truth")],
    )
    pick = alt.selection_point(name=PICK, fields=["row", "column"], on="click", clear=False)
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    cells = base.mark_rect(stroke="#8884", cursor="pointer").encode(color=colour).add_params(pick)
    ink = alt.condition(alt.datum.share > 0.5, alt.value("white"), alt.value("#222"))
    texts = base.mark_text(fontSize=13 if size <= 8 else 10, cursor="pointer").encode(text="samples:Q", color=ink)
    chart = (cells + texts).properties(height=max(170, 46 * size if size <= 8 else 26 * size) + 40)
    key = f"matrix-{look.label}"

    def take() -> None:
        chosen = st.session_state[key].selection.get(PICK) or []
        if chosen:
            st.session_state["truth"] = look.names[int(chosen[0]["row"])]
            st.session_state["predicted"] = look.names[int(chosen[0]["column"])]
            st.session_state["part"] = PARTS[0]

    st.altair_chart(chart, key=key, on_select=take, selection_mode=PICK, width=min(190 + 110 * size, 900))
    st.caption("Click a cell to see its samples below.")


# Samples ------------------------------------------------------------------------------------------------------------


def _samples(look: Look) -> None:
    rows = chosen_rows(look)
    st.markdown(f"**{len(rows):,}** of {len(look.truth):,} samples")
    if not len(rows):
        st.info("No sample fits these filters.")
        return
    gallery(look.result, rows[pages(len(rows), "samples")], look.lines)


# Calibration and slices ---------------------------------------------------------------------------------------------


def _calibration(look: Look) -> None:
    """Show accuracy over confidence. On the diagonal both are equal: of answers with 80 % confidence 80 % are right."""
    table = attributes.calibration(look.probabilities, look.truth)
    if table.empty:
        st.info("Calibration needs samples with a truth.")
        return
    axis = alt.Axis(format="%")
    whole = alt.Scale(domain=[0, 1])
    tooltip = [alt.Tooltip("confidence:Q", format=".1%"), alt.Tooltip("accuracy:Q", format=".1%"), "samples:Q"]
    bars = alt.Chart(table).mark_bar(opacity=0.75).encode(
        x=alt.X("low:Q", title="confidence", axis=axis, scale=whole), x2="high:Q",
        y=alt.Y("accuracy:Q", title="accuracy", axis=axis, scale=whole), y2=alt.Y2Datum(0), tooltip=tooltip,
    )  # fmt: skip
    points = alt.Chart(table).mark_circle(color="#d9480f", opacity=1).encode(
        x="confidence:Q", y="accuracy:Q", size=alt.Size("samples:Q", legend=None), tooltip=tooltip
    )  # fmt: skip
    ideal = alt.Chart(pd.DataFrame({"x": [0.0, 1.0]})).mark_line(strokeDash=[5, 4], color="#888").encode(x="x:Q", y="x:Q")
    st.altair_chart((bars + ideal + points).properties(height=340))
    st.caption("Above the dashed line the model is right more often than it thinks, below it less often.")


def _slices(look: Look) -> None:
    """Show the accuracy for each value of each column, the worst first."""
    columns = {name: look.result.texts(name) for name in look.result.attributes}
    if not columns or not look.known:
        st.info("Slices need samples with a truth and a column with a few different values.")
        return
    table = attributes.slices(columns, look.truth, look.answer, LEAST)
    chosen = st.multiselect("Columns", list(columns), key="by", bind=QUERY, placeholder="all")
    table = table[table["attribute"].isin(chosen)] if chosen else table
    worst = table.head(15).assign(slice=lambda rows: rows["attribute"] + " = " + rows["value"])
    base = alt.Chart(worst).encode(
        y=alt.Y("slice:N", sort=worst["slice"].tolist(), title=None, axis=alt.Axis(labelLimit=220)),
        tooltip=["slice:N", "samples:Q", "wrong:Q", alt.Tooltip("accuracy:Q", format=".1%")],
    )
    span = base.mark_rule(strokeWidth=3, opacity=0.5).encode(
        x=alt.X("low:Q", title="accuracy, with its 95 % interval", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        x2="high:Q",
    )
    points = base.mark_circle(size=90, opacity=1).encode(x="accuracy:Q")
    st.altair_chart((span + points).properties(height=40 + 26 * len(worst)))
    percent = st.column_config.NumberColumn(format="percent")
    shares = {name: percent for name in ("accuracy", "low", "high")}
    st.dataframe(table, hide_index=True, column_config=shares)
    st.caption(f"The worst first, by the upper end of the interval. Slices of fewer than {LEAST} samples are left out.")


VIEW = View("Mistakes", 30, show, frozenset({KIND.task}))
