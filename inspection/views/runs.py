"""The page Runs: a table of all runs with their scores, the curves of runs, and the differences between their configs."""

from __future__ import annotations

import altair as alt
import streamlit as st

from inspection import runs as runs_on_disk
from inspection.runs import Run
from inspection.views.common import QUERY, View, chosen_run, no_run_chosen, plain, problem

REFRESH = 3.0  # seconds between two updates of a run in progress
CURVES = 6  # largest number of runs in one chart


def show() -> None:
    """Show a table of all runs, then the curves, config differences and config of the chosen runs."""
    runs = runs_on_disk.all_runs()
    run = chosen_run()
    if not runs or run is None:
        no_run_chosen()
        return
    going = any(other.status == "running" for other in runs)
    st.fragment(_table, run_every=REFRESH if going else None)()
    others = st.multiselect(
        "Compare with", [other.label for other in runs if other != run], key="with", bind=QUERY, max_selections=CURVES - 1
    )
    chosen = [run, *(other for other in runs if other.label in others)]
    if run.problem:
        problem(run.problem)
    parts = list({part.folder: part for other in chosen for part in other.parts}.values())
    st.fragment(_curves, run_every=REFRESH if any(part.status == "running" for part in parts) else None)(parts)
    for other in chosen[1:]:
        _difference(other, run)
    with st.expander("Config of this run"):
        st.json(run.config)


def _table() -> None:
    table = runs_on_disk.overview(runs_on_disk.all_runs())
    config = {
        "best": st.column_config.NumberColumn(format="%.4f"),
        "MB": st.column_config.NumberColumn("disk, MB", format="%.1f"),
        "monitored": st.column_config.TextColumn("score"),
    }
    left, middle, right = st.columns(3)
    left.metric("Runs", len(table))
    middle.metric("In progress", int((table["status"] == "running").sum()))
    right.metric("On disk", f"{table['MB'].sum():,.1f} MB")
    if not table["problem"].any():
        table = table.drop(columns="problem")
    st.dataframe(table, hide_index=True, column_config=config, height=min(38 + 35 * len(table), 360))


def _curves(chosen: list[Run]) -> None:
    names = runs_on_disk.scores(chosen)
    if not names:
        st.info("No epoch is finished yet: the curves begin with the first.")
        return
    monitored = chosen[0].monitor.name
    default = [name for name in dict.fromkeys([monitored, "train/loss", "val/loss"]) if name in names] or names[:1]
    left, right = st.columns([3, 1])
    shown = left.multiselect("Scores", names, default=default, key="scores", bind=QUERY)
    smoothing = right.slider("Smoothing", 0.0, 0.95, 0.0, 0.05, key="smoothing", bind=QUERY)
    table = runs_on_disk.curves(chosen, shown, smoothing)
    if table.empty:
        return
    lines = alt.Chart(table).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        color=alt.Color(
            "run:N", title=None, legend=alt.Legend(orient="bottom", columns=1, labelLimit=320) if len(chosen) > 1 else None
        ),
        tooltip=["run:N", "score:N", "epoch:Q", alt.Tooltip("value:Q", format=".5f")],
    )
    few = len(table) < 400
    smooth = lines.mark_line(point=few).encode(y=alt.Y("smooth:Q", title=None, scale=alt.Scale(zero=False)))
    faint = lines.mark_line(opacity=0.25).encode(y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)))
    for start in range(0, len(shown), 2):
        for column, name in zip(st.columns(2), shown[start : start + 2], strict=False):
            with column:
                plain(name)
                rows = alt.datum.score == name
                chart = (
                    alt.layer(faint.transform_filter(rows), smooth.transform_filter(rows))
                    if smoothing
                    else smooth.transform_filter(rows)
                )
                st.altair_chart(chart.properties(height=230 + 26 * len(chosen)))


def _difference(old: Run, new: Run) -> None:
    table = runs_on_disk.config_difference(old, new)
    st.subheader("Config difference")
    if table.empty:
        st.success("The configs are equal.")
        plain(f"{old.label} and {new.label}")
        return
    st.dataframe(table, hide_index=True)


VIEW = View("Runs", 10, show)
