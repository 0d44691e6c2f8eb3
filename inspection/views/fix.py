"""The page Fix: mark wrong labels and bad pictures while you look at samples; the next run uses the marks as corrections."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from base.saved.door import SAVED
from inspection.jail import below
from inspection.kinds import all_kinds
from inspection.marks import Marks, as_csv
from inspection.results import Result
from inspection.runs import Run
from inspection.views.common import (
    View,
    chosen_result,
    chosen_run,
    commands,
    no_run_chosen,
    pages,
    plain,
    problem,
    sample_picture,
)
from inspection.views.tasks import Lines, task_views
from utils.errors import UserError

SHOWN = 6


def show() -> None:
    """Show samples with buttons to mark them, then all marks."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    marks = Marks(SAVED, run.folder.parent.name)
    _take_over(run, marks)
    left, right = st.columns(2)
    with left:
        result = chosen_result(run, VIEW.kinds)
    if result is not None:
        rows, lines = _rows(result, right)
        st.markdown(f"**{len(rows):,}** of {len(result.samples):,} samples")
        shown = rows[pages(len(rows), "fix", SHOWN)]
        for start in range(0, len(shown), 3):
            for column, row in zip(st.columns(3), shown[start : start + 3].tolist(), strict=False):
                with column, st.container(border=True):
                    _sample(run, result, marks, row, lines(row))
    _marks(marks, run)


def _take_over(run: Run, marks: Marks) -> None:
    """Copy the corrections that the run already had into the new file, so that the new file can replace the old one."""
    section = run.config.get("data_loader")
    args = section.get("args") if isinstance(section, dict) else None
    given = args.get("corrections") if isinstance(args, dict) else None
    if isinstance(given, str) and given:
        try:
            marks.begin(below(Path.cwd(), given))
        except UserError as error:
            problem(f"the run's own corrections are not taken over: {error}")


def _rows(result: Result, place: Any) -> tuple[np.ndarray, Lines]:
    """Return the rows to show, (n,) integers, in the order of their task if the task has an order, and their lines."""
    with place:
        for kind in result.kinds:
            if (chosen := task_views()[kind].rows(result)) is not None:
                return chosen
    query = place.text_input("Search", key="query", placeholder="words in id, path or any column")
    rows = np.flatnonzero(result.matching(query)) if query else np.arange(len(result.samples))
    return rows, lambda row: [result.samples.id(row)]


def _sample(run: Run, result: Result, marks: Marks, row: int, lines: list[str]) -> None:
    """Show a picture and its three buttons."""
    sample = result.samples.id(row)
    sample_picture(lambda: result.picture(row), 150)
    plain("\n".join(lines))
    with st.popover("Wrong label", icon=":material/edit:", width="stretch", key=f"open-{sample}"):
        _relabel(run, result, marks, sample)
    with st.container(horizontal=True):
        if st.button("Bad image", key=f"bad-{sample}", help="leave it out of training and validation"):
            _do(lambda: marks.exclude(sample), f"{sample} is left out")
        if st.button("Look again", key=f"again-{sample}"):
            _do(lambda: marks.look_again(sample), f"{sample} is on the list")


def _relabel(run: Run, result: Result, marks: Marks, sample: str) -> None:
    """Let the user choose a label and its right class, or another column and its right text."""
    labels: dict[str, tuple[str, dict[str, str]]] = {}
    for kind in result.kinds:
        labels |= all_kinds()[kind].corrections(result, run.config)
    label = st.selectbox("What is wrong", [*labels, *_columns(result, labels)], key=f"which-{sample}")
    column, texts = labels.get(label, ("", {}))
    if texts:
        right = texts[st.selectbox("It is", list(texts), key=f"class-{sample}")]
    else:
        column, right = label, st.text_input("It is", key=f"text-{sample}")
    if st.button("Mark", key=f"mark-{sample}", type="primary", disabled=not right):
        _do(lambda: marks.relabel(sample, column, right), f"{sample}: {column} is {right}")


def _columns(result: Result, labels: Collection[str]) -> list[str]:
    """Return the reader's columns, other than the labels, that a correction can set."""
    names = [name for name in result.samples.names if name not in ("id", "path", *labels)]
    return [name for name in names if not name.startswith("raw:") and name in result.attributes]


def _do(change: Any, said: str) -> None:
    try:
        change()
    except UserError as error:
        problem(error)
        return
    st.session_state["marked"] = said
    st.rerun()


# What is marked -----------------------------------------------------------------------------------------------------


def _marks(marks: Marks, run: Run) -> None:
    """Show all marks, a button to remove marks, and the command that trains with them."""
    st.divider()
    st.subheader("Marks")
    if said := st.session_state.pop("marked", None):
        st.success("Marked.")
        plain(said)
    try:
        given, again = marks.all(), marks.again()
    except UserError as error:
        problem(error)
        return
    if not given and not again:
        st.info("Nothing is marked yet. Marks are kept in a file that the next run takes as its corrections.")
        return
    if given:
        table = pd.DataFrame(given).set_axis(["where", "is", "set", "to"], axis=1)
        event = st.dataframe(table, hide_index=True, on_select="rerun", selection_mode="multi-row", key=f"marks-{len(given)}")
        chosen = list(event.selection.rows)
        with st.container(horizontal=True):
            st.download_button("Download", as_csv(given), "corrections.csv", "text/csv", icon=":material/download:")
            if st.button("Take back", disabled=not chosen, help="the rows selected in the table"):
                _do(lambda: marks.remove(*(given[row] for row in chosen)), f"{len(chosen)} marks are taken back")
        st.caption("The next run takes them with:")
        commands(*run.anew(f"data_loader.args.corrections={marks.shown}"))
    if again:
        st.caption("To look at again:")
        st.dataframe(pd.DataFrame(again, columns=["sample", "note"]), hide_index=True)
        done = st.selectbox("Looked at", [sample for sample, _ in again], index=None, placeholder="take one off the list")
        if done:
            _do(lambda: marks.forget(done), f"{done} is off the list")


VIEW = View("Fix", 70, show, frozenset(all_kinds()))
