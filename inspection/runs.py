"""Runs: which there are, how good each became, and its curves."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from inspection.data import all_runs, choose_run


def show() -> None:
    """A table of all runs, then curves and config of one."""
    st.title("Runs")
    run = choose_run("Run")
    if run is None:
        return
    rows = []
    for other in all_runs():
        name, best = other.best
        rows.append({"run": other.label, "status": other.status, "epochs": len(other.epochs), "monitored": name, "best": best})
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    if run.epochs.empty:
        st.info("This run has not finished an epoch yet.")
        return
    scores = [str(name) for name in run.epochs if "/" in str(name)]
    chosen = st.multiselect("Scores", scores, default=[name for name in scores if name.count("/") == 1])
    if chosen:
        st.line_chart(run.epochs, x="epoch", y=chosen, x_label="epoch", y_label="score")
    with st.expander("Config"):
        st.json(run.config)
