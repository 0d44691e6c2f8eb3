"""The page Data: number of samples of each class and side, values on both sides, unreadable and similar files, augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from data_loader.pictures.decode import ImageError
from inspection.jail import below
from inspection.runs import Run
from inspection.text import literal
from inspection.views.common import QUERY, View, chosen_run, commands, no_run_chosen, pages, plain, problem, sample_picture
from utils.errors import UserError

if TYPE_CHECKING:
    from inspection.dataset import Data

PARTS = ("Balance", "Files", "Augmentation")
ORDER = ["train", "valid"]
SHOWN = 8


def show() -> None:
    """Show the part of the page that the user chooses, for the data of the chosen run's config."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    from inspection.dataset import open_data

    try:
        with st.spinner("reading the data"):
            data = open_data(run.config_file)
    except UserError as error:
        st.error("The data of this run cannot be read.", icon=":material/error:")
        problem(error)
        commands(f"python laurel.py check -c {run.config_file}")
        return
    part = st.segmented_control(
        "Show", PARTS, default=PARTS[0], key="part", bind=QUERY, required=True, label_visibility="collapsed"
    )
    {PARTS[0]: _balance, PARTS[1]: _files, PARTS[2]: _augmentation}[part or PARTS[0]](run, data)


def _balance(run: Run, data: Data) -> None:
    from inspection.dataset import balance, everything, group_leaks

    for line in data.loader.report():
        (st.warning if line.startswith("warning") else st.caption)(literal(line))
    group = data.group
    leaks = group_leaks(everything(data), group)
    if leaks:
        problem(f"{len(leaks):,} values of {group} are on both sides: {', '.join(leaks[:5])}")
    elif group:
        st.success("Nobody is on both sides of the split.", icon=":material/verified_user:")
    table = balance(data)
    if table.empty:
        st.info("These data have no labels with classes.")
        return
    with_folds = any(side.startswith("fold") for side in table["side"]) and st.toggle("By fold", key="folds", bind=QUERY)
    table = table[table["side"].str.startswith("fold") if with_folds else table["side"].isin(ORDER)]
    table = table.assign(share=table["samples"] / table.groupby(["label", "side"])["samples"].transform("sum").clip(lower=1))
    for label in table["label"].unique():
        plain(label)
        _bars(table[table["label"] == label])


def _bars(rows: pd.DataFrame) -> None:
    classes, sides = rows["class"].unique().tolist(), rows["side"].unique().tolist()
    chart = alt.Chart(rows).mark_bar().encode(
        y=alt.Y("class:N", sort=classes, title=None, axis=alt.Axis(labelLimit=160)),
        x=alt.X("share:Q", title="share of the side", axis=alt.Axis(format="%")), yOffset=alt.YOffset("side:N", sort=sides),
        color=alt.Color("side:N", sort=sides, title=None, legend=alt.Legend(orient="right")),
        tooltip=["class:N", "side:N", "samples:Q", alt.Tooltip("share:Q", format=".1%")],
    )  # fmt: skip
    st.altair_chart(chart.properties(height=60 + 22 * len(rows)))


# Files --------------------------------------------------------------------------------------------------------------


def _files(run: Run, data: Data) -> None:
    """Read every file once, then show the files that cannot be read and the pairs that look alike."""
    from inspection.dataset import everything, look_at_files, twins

    table = everything(data)
    key = f"files-{run.label}-{data.loader.split_hash}"
    if key not in st.session_state:
        st.info(f"All {len(table):,} pictures are decoded once to find those that cannot be read and those that look alike.")
        if not st.button("Look at all files", icon=":material/search:"):
            return
        bar = st.progress(0.0, "decoding")
        hashes, unreadable = look_at_files(table, lambda done: bar.progress(done, f"decoding: {done:.0%}"))
        st.session_state[key] = twins(table, hashes), unreadable
        st.rerun()
    pairs, unreadable = st.session_state[key]
    both = pairs["sides"].str.contains(" and ")
    values = {"Pictures": len(table), "Unreadable": len(unreadable), "Same bytes": int((pairs["bytes"] == "same").sum()),
              "Look alike": len(pairs), "On both sides": int(both.sum())}  # fmt: skip
    with st.container(horizontal=True):
        for name, value in values.items():
            st.metric(name, f"{value:,}", width=120)
    if unreadable:
        st.subheader("Unreadable")
        st.dataframe(pd.DataFrame(unreadable.items(), columns=["sample", "reason"]), hide_index=True)
    _twins(data, pairs)


def _twins(data: Data, pairs: pd.DataFrame) -> None:
    from inspection.dataset import everything

    table, group = everything(data), data.group
    st.subheader("Duplicates and near-duplicates")
    if group and st.toggle("Only of different groups", value=True, key="apart", help="the split's group column, people say"):
        values = np.array(table.strings(group), dtype=object)
        pairs = pairs[values[pairs["a"].to_numpy(int)] != values[pairs["b"].to_numpy(int)]]
    if pairs.empty:
        st.success("No two pictures look alike.")
        return
    for pair in pairs.iloc[pages(len(pairs), "twins", SHOWN)].to_dict("records"):
        with st.container(horizontal=True, border=True):
            for row, sample in ((pair["a"], pair["first"]), (pair["b"], pair["second"])):
                with st.container(width=140):
                    sample_picture(lambda row=row: below(table.root, table.values("path", int(row))), 130)  # type: ignore[misc]
                    plain(sample)
            with st.container(width=160):
                st.metric("bits that differ", pair["bits"])
                st.caption(("same bytes; " if pair["bytes"] == "same" else "") + f"side: {pair['sides']}")


# Augmentation -------------------------------------------------------------------------------------------------------


def _augmentation(run: Run, data: Data) -> None:
    """Show the file of a sample, and then augmented pictures of it as training may draw them."""
    from inspection.dataset import augmented

    table = data.table("train")
    left, right = st.columns(2)
    row = left.number_input("Sample", 0, len(table) - 1, 0, key="sample", bind=QUERY)
    epoch = right.number_input("Seed (epoch)", 0, 10_000, 0, key="seed", bind=QUERY)
    plain(table.id(int(row)))
    try:
        shown = augmented(data, int(row), int(epoch), 15)
    except (UserError, ImageError) as error:
        problem(error)
        return
    with st.container(horizontal=True, gap="small"):
        with st.container(width=150):
            sample_picture(lambda: below(table.root, table.values("path", int(row))), 140)
            st.caption("the file")
        for number, image in enumerate(shown):
            with st.container(width=150):
                st.image(image, width=140)
                st.caption(f"draw {number + 1}")


VIEW = View("Data", 60, show)
