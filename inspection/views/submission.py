"""Submission: may it be handed in, does it look like the training data, and what has changed since the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from inspection import results, submissions
from inspection.results import Result
from inspection.runs import Run, all_runs
from inspection.submissions import Submission
from inspection.text import share
from inspection.views.common import QUERY, View, chosen_result, chosen_run, gallery, no_runs, pages, plain, problem, samples_of
from utils.errors import UserError

ALL = frozenset({results.ATTRIBUTES, results.EMBEDDING, results.BOXES})
COMBINED = "CombinedClassSubmission"
MAX_ANSWERS = 60


def show() -> None:
    """The verdict first."""
    run = chosen_run()
    if run is None:
        no_runs()
        return
    left, right = st.columns(2)
    with left:
        result = chosen_result(run, ALL, "test")
    if result is None:
        return
    if result.split != "test":
        st.info("These are validation predictions; a submission is made of the test split.")
        common_offer(run)
        return
    found = submissions.found(result.folder)
    if not found:
        st.info("No submission file beside these predictions: this run's config has no `submission` section.")
        return
    path = found[
        [file.name for file in found].index(right.selectbox("File", [file.name for file in found], key="file", bind=QUERY))
    ]
    content = path.read_bytes()
    args = _args(run)
    try:
        submission = submissions.parse(path.name, content, _columns(args))
    except UserError as error:
        problem(error)
        return
    _verdict(run, result, submission, content, args)
    st.download_button("Download", content, path.name, icon=":material/download:", type="primary")
    _distribution(result, submission)
    _difference(run, result, submission, args)


def common_offer(run: Run) -> None:
    """How to get test predictions."""
    from inspection.views.common import offer

    offer(run, "test")


def _args(run: Run) -> dict[str, Any]:
    """The `submission` section of the config: its type and arguments; empty where there is none."""
    section = run.config.get("submission")
    args = section.get("args") if isinstance(section, dict) else None
    return {"type": section.get("type"), **args} if isinstance(section, dict) and isinstance(args, dict) else {}


def _columns(args: dict[str, Any]) -> tuple[str, str] | None:
    names = args.get("id_column"), args.get("answer_column")
    return (str(names[0]), str(names[1])) if all(names) else None


def _verdict(run: Run, result: Result, submission: Submission, content: bytes, args: dict[str, Any]) -> None:
    """What is wrong with the file; nothing, one hopes. It is what `python -m data_loader.prepare lint` says, and some remarks."""
    expected = None
    if args.get("type") == COMBINED:
        expected = submissions.expected_answers(result, [str(name) for name in args.get("labels") or result.labels])
    found = None
    try:
        found = submissions.verdict(run.config["submission"], result, submission.name, content) if args else None
    except (UserError, OSError) as error:
        problem(f"the competition's own rules cannot be applied: {error}")
    if found is None:
        wanted = result.predictions.ids()
        by_sample = submission.keys and set(submission.keys) & set(wanted)
        problems = submissions.lint(submission, wanted if by_sample else None, expected)
    else:
        problems = found + submissions.remarks(submission, expected)
    if problems:
        st.error(f"{len(problems)} problems: better not handed in.", icon=":material/error:")
        for line in problems:
            problem(line)
    else:
        st.success(f"Ready to hand in: {len(submission.keys):,} rows, complete and in order.", icon=":material/check_circle:")


# Distribution -------------------------------------------------------------------------------------------------------


def _distribution(result: Result, submission: Submission) -> None:
    """The answers, and each label's classes next to those of training."""
    st.subheader("Classes, next to training")
    for label in result.labels:
        table = submissions.shares(result, label)
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


def _difference(run: Run, result: Result, submission: Submission, args: dict[str, Any]) -> None:
    """Which answers changed, from what to what, and the pictures."""
    st.subheader("Difference to an earlier one")
    others = _others(run, result)
    left, right = st.columns(2)
    name = left.selectbox("Earlier submission", list(others), index=None, key="earlier", placeholder="of another run")
    upload = right.file_uploader("or a file", type=["csv", "json", "txt"], key="old")
    try:
        if upload is not None:
            old = submissions.parse(upload.name, upload.getvalue(), _columns(args) if upload.name.endswith(".csv") else None)
        elif name:
            old = submissions.parse(others[name].name, others[name].read_bytes(), _columns(args))
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


def _others(run: Run, result: Result) -> dict[str, Path]:
    """The submission files of all other evaluations, by a name that tells them apart."""
    found: dict[str, Path] = {}
    for other in all_runs():
        for name in results.found(other):
            folder = other.log / name
            if folder != result.folder and name.startswith("test"):
                found |= {f"{other.label}, {name}: {path.name}": path for path in submissions.found(folder)}
    return found


VIEW = View("Submission", 80, show, ALL)
