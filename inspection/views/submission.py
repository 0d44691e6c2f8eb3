"""The page Submission: problems of a file, its classes next to those of training, and the difference to an earlier file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from inspection import results, submissions
from inspection.kinds import BaseKind, all_kinds
from inspection.results import Result
from inspection.runs import Run, all_runs
from inspection.submissions import Submission
from inspection.text import share
from inspection.views.common import (
    QUERY,
    View,
    chosen_result,
    chosen_run,
    gallery,
    no_run_chosen,
    offer,
    pages,
    plain,
    problem,
    samples_of,
)
from utils.errors import UserError

MAX_ANSWERS = 60
T = TypeVar("T")


def show() -> None:
    """Show the problems of the chosen submission, its distribution, and the difference to an earlier submission."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    left, right = st.columns(2)
    with left:
        result = chosen_result(run, VIEW.kinds, "test")
    if result is None:
        return
    if result.split != "test":
        st.info("These are validation predictions; a submission is made of the test split.")
        offer(run, "test")
        return
    files = submissions.found(result.folder)
    if not files:
        st.info("No submission file beside these predictions: this run's config has no `submission` section.")
        return
    path = files[
        [file.name for file in files].index(right.selectbox("File", [file.name for file in files], key="file", bind=QUERY))
    ]
    content = path.read_bytes()
    section = _section(run)
    columns = _asked(result, lambda kind: kind.columns(section))
    try:
        submission = submissions.parse(path.name, content, columns)
    except UserError as error:
        problem(error)
        return
    _verdict(result, submission, content, section)
    st.download_button("Download", content, path.name, icon=":material/download:", type="primary")
    _distribution(result, submission)
    _difference(result, submission, columns)


def _section(run: Run) -> dict[str, Any]:
    """Return the `submission` section of the config, empty if there is none."""
    section = run.config.get("submission")
    return section if isinstance(section, dict) else {}


def _asked(result: Result, question: Callable[[BaseKind], T | None]) -> T | None:
    """Return the first answer of the result's kinds of prediction that is not None; None if all answers are None."""
    answers = (question(all_kinds()[kind]) for kind in result.kinds)
    return next((answer for answer in answers if answer is not None), None)


def _verdict(result: Result, submission: Submission, content: bytes, section: dict[str, Any]) -> None:
    """Show the problems of the file: those of `python laurel.py lint`, and the remarks."""
    expected = _asked(result, lambda kind: kind.expected(result, section))
    by_rules = None
    try:
        by_rules = submissions.verdict(section, result, submission.name, content) if section else None
    except (UserError, OSError) as error:
        problem(f"the competition's own rules cannot be applied: {error}")
    if by_rules is None:
        wanted = result.predictions.ids()
        by_sample = submission.keys and set(submission.keys) & set(wanted)
        problems = submissions.lint(submission, wanted if by_sample else None, expected)
    else:
        problems = by_rules + submissions.remarks(submission, expected)
    if problems:
        st.error(f"{len(problems)} problems: better not handed in.", icon=":material/error:")
        for line in problems:
            problem(line)
    else:
        st.success(f"Ready to hand in: {len(submission.keys):,} rows, complete and in order.", icon=":material/check_circle:")


# Distribution -------------------------------------------------------------------------------------------------------


def _distribution(result: Result, submission: Submission) -> None:
    """Show the shares of each label's classes next to those of training, and the answers in the file."""
    st.subheader("Classes, next to training")
    tables = {label: table for kind in result.kinds for label, table in all_kinds()[kind].shares(result).items()}
    for label, table in tables.items():
        plain(label)
        melted = table.melt("class", var_name="of", value_name="share").dropna()
        chart = alt.Chart(melted).mark_bar().encode(
            y=alt.Y("class:N", sort=table["class"].tolist(), title=None, axis=alt.Axis(labelLimit=160)),
            x=alt.X("share:Q", title=None, axis=alt.Axis(format="%")), yOffset="of:N",
            color=alt.Color("of:N", title=None, legend=alt.Legend(orient="right")),
            tooltip=["class:N", "of:N", alt.Tooltip("share:Q", format=".1%")],
        )  # fmt: skip
        st.altair_chart(chart.properties(height=40 + 34 * len(table)))
    answers = submissions.answer_shares(submission)
    if len(answers) <= MAX_ANSWERS:
        with st.expander("Answers in the file"):
            st.dataframe(answers, hide_index=True, column_config={"share": st.column_config.NumberColumn(format="percent")})


# Difference ---------------------------------------------------------------------------------------------------------


def _difference(result: Result, submission: Submission, columns: tuple[str, str] | None) -> None:
    """Show the answers that differ from an earlier submission, and the pictures of these samples."""
    st.subheader("Difference to an earlier one")
    others = _others(result)
    left, right = st.columns(2)
    name = left.selectbox("Earlier submission", list(others), index=None, key="earlier", placeholder="of another run")
    upload = right.file_uploader("or a file", type=[suffix.removeprefix(".") for suffix in submissions.formats()], key="old")
    try:
        if upload is not None:
            old = submissions.parse(upload.name, upload.getvalue(), columns if upload.name.endswith(".csv") else None)
        elif name:
            old = submissions.parse(others[name].name, others[name].read_bytes(), columns)
        else:
            st.caption("Choose one to see which answers changed.")
            return
    except (UserError, OSError) as error:
        problem(error)
        return
    changed = submissions.difference(old, submission)
    st.metric(
        "Answers that differ", f"{len(changed):,} of {len(submission.keys):,}", share(len(changed) / max(len(submission.keys), 1))
    )
    if changed.empty:
        st.success("Every answer is the same.")
        return
    moves = changed.groupby(["before", "now"]).size().sort_values(ascending=False).rename("rows").reset_index()
    st.dataframe(moves.head(50), hide_index=True)
    _changed_pictures(result, changed)


def _changed_pictures(result: Result, changed: pd.DataFrame) -> None:
    rows = samples_of(result)
    there = changed[changed["key"].isin(rows)]
    shown = there.iloc[pages(len(there), "changed")]
    said = {rows[key]: [key, f"{before} → {now}"] for key, before, now in shown.itertuples(index=False)}
    gallery(result, np.array(list(said), int), lambda row: said[row])


def _others(result: Result) -> dict[str, Path]:
    """Return name -> submission file, for the test predictions of all other evaluations."""
    files: dict[str, Path] = {}
    for other in all_runs():
        for name in results.found(other):
            folder = other.log / name
            if folder != result.folder and name.startswith("test"):
                files |= {f"{other.label}, {name}: {path.name}": path for path in submissions.found(folder)}
    return files


VIEW = View("Submission", 80, show, frozenset(all_kinds()))
