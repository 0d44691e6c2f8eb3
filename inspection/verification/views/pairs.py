"""The page Pairs: the rates at a threshold, the hardest pairs, uploaded faces, and a map of all embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from data_loader.pictures.decode import ImageError
from inspection import pictures
from inspection.results import Result
from inspection.runs import Run
from inspection.text import number, share
from inspection.verification import pairs
from inspection.verification.kind import EMBEDDING, KIND
from inspection.views import common
from inspection.views.common import (
    QUERY,
    View,
    chosen_result,
    chosen_run,
    gallery,
    model_box,
    no_run_chosen,
    pages,
    plain,
    problem,
)
from model.verification import pair_metrics as exact
from utils.errors import UserError

PARTS = ("Threshold", "Hardest pairs", "Your faces", "Map")
KINDS = ("genuine", "impostor")
COLOURS = alt.Scale(domain=list(KINDS), range=["#1c7ed6", "#e8590c"])
SHOWN = 6
ON_MAP = 2000
PICK = "point"


def show() -> None:
    """Show the part of the page that the user chooses."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    result = chosen_result(run, VIEW.kinds)
    if result is None:
        return
    part = st.segmented_control(
        "Show", PARTS, default=PARTS[0], key="part", bind=QUERY, required=True, label_visibility="collapsed"
    )
    if part == "Your faces":
        _faces(run, result)
        return
    if part == "Map":
        _map(result)
        return
    try:
        table = pairs.read(result.file, result)
    except UserError as error:
        st.info("These samples have no list of pairs that could be shown; the other parts need none.")
        problem(error)
        return
    table = table[table["same"] >= 0]
    if table.empty:
        st.info("Of these pairs nobody knows which are of one person. Choose the predictions of another split.")
        return
    scored = table[np.isfinite(table["score"])]
    if len(scored) < len(table):
        st.caption(f"{len(table) - len(scored):,} pairs have no score and are left out: a picture of theirs has no vector.")
    table = scored
    (_threshold if part == PARTS[0] else _hardest)(result, table)


# Threshold ----------------------------------------------------------------------------------------------------------


def _threshold(result: Result, table: pd.DataFrame) -> None:
    """Show the slider of the threshold, and the rates, histogram and ROC at that threshold."""
    scores, same = table["score"].to_numpy(float), (table["same"] == 1).to_numpy()
    if not same.any() or same.all():
        st.info("A threshold needs pairs of one person and pairs of two.")
        return
    low, high = float(scores.min()), float(scores.max())
    best, roc = exact.best_threshold(scores, same)[0], exact.roc(scores, same)
    step = max((high - low) / 200, 1e-6)
    threshold = st.slider(
        "Threshold", low, max(high, low + step), float(np.clip(best, low, high)), step, format="%.4f", key="threshold"
    )
    st.caption(f"Pairs at least this alike are taken for one person. The best on these pairs: {best:.4f}.")
    at = pairs.rates(scores, same, threshold)
    values = {"Accuracy": share(at.accuracy, 2), "FAR": share(at.far, 2), "FRR": share(at.frr, 2),
              "F1 of same": number(at.f1, 4), "Taken for one": f"{at.accepted:,}",
              "EER": share(exact.equal_error_rate(roc), 2), "AUC": number(exact.auc(roc), 4)}  # fmt: skip
    with st.container(horizontal=True):
        for name, value in values.items():
            st.metric(name, value, width=130)
    left, right = st.columns(2)
    with left:
        _histogram(scores, same, threshold)
    with right:
        _roc(roc, at)
    _table(pairs.at_limits(roc, scores, same))


def _histogram(scores: np.ndarray, same: np.ndarray, threshold: float) -> None:
    edges = np.histogram_bin_edges(scores, 40)
    pieces = [
        pd.DataFrame({"kind": kind, "low": edges[:-1], "high": edges[1:], "pairs": np.histogram(scores[rows], edges)[0]})
        for kind, rows in zip(KINDS, (same, ~same), strict=True)
    ]
    bars = alt.Chart(pd.concat(pieces)).mark_bar(opacity=0.6).encode(
        x=alt.X("low:Q", title="similarity"), x2="high:Q", y=alt.Y("pairs:Q", stack=None, title="pairs"), y2=alt.Y2Datum(0),
        color=alt.Color("kind:N", scale=COLOURS, title=None, legend=alt.Legend(orient="top")),
        tooltip=["kind:N", alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"), "pairs:Q"],
    )  # fmt: skip
    rule = alt.Chart(pd.DataFrame({"x": [threshold]})).mark_rule(strokeWidth=2, color="#c92a2a").encode(x="x:Q")
    st.altair_chart((bars + rule).properties(height=300))


def _roc(roc: exact.Curve, at: pairs.Rates) -> None:
    table = pairs.curve(roc).assign(tar=lambda rows: 1 - rows["frr"])
    axis, whole = alt.Axis(format="%"), alt.Scale(domain=[0, 1])
    line = alt.Chart(table).mark_line(interpolate="step-after").encode(
        x=alt.X("far:Q", title="impostors accepted (FAR)", axis=axis, scale=whole),
        y=alt.Y("tar:Q", title="genuine accepted (1 - FRR)", axis=axis, scale=whole), order="threshold:Q",
        tooltip=[alt.Tooltip("threshold:Q", format=".4f"), *(alt.Tooltip(f"{name}:Q", format=".2%") for name in ("far", "frr"))],
    )  # fmt: skip
    here = pd.DataFrame({"far": [at.far], "tar": [1 - at.frr]})
    point = alt.Chart(here).mark_circle(size=140, color="#c92a2a", opacity=1).encode(x="far:Q", y="tar:Q")
    st.altair_chart((line + point).properties(height=300))


def _table(table: pd.DataFrame) -> None:
    """Show the false reject rates at a few false accept rates that so many pairs can measure."""
    percent = st.column_config.NumberColumn(format="percent")
    columns = table.rename(columns={"limit": "FAR at most"})
    st.dataframe(columns, hide_index=True, column_config={name: percent for name in ("FAR at most", "far", "frr", "accuracy")})


# Pairs and pictures -------------------------------------------------------------------------------------------------


def _hardest(result: Result, table: pd.DataFrame) -> None:
    left, right = st.columns(2)
    for column, kind, title in ((left, True, "One person, least alike"), (right, False, "Two people, most alike")):
        with column:
            st.subheader(title)
            hard = pairs.hardest(table, kind)
            shown = pages(len(hard), f"hard-{kind}", SHOWN)
            for pair in hard.iloc[shown].itertuples():
                _pair(result, (str(pair.image1), str(pair.image2)), float(str(pair.score)))
            if hard.empty:
                st.info("There is no such pair.")


def _pair(result: Result, ids: Sequence[str], score: float) -> None:
    rows = common.samples_of(result)
    with st.container(horizontal=True, border=True):
        for sample in ids:
            with st.container(width=120):
                if sample in rows:
                    common.sample_picture(lambda row=rows[sample]: result.picture(row), 120)  # type: ignore[misc]
                plain(sample)
        st.metric("similarity", number(score, 4), width=110)


# Your faces ---------------------------------------------------------------------------------------------------------


def _faces(run: Run, result: Result) -> None:
    """Compare two uploads, and search the samples for the first upload."""
    path = model_box(run, "Model", "model")
    if path is None:
        return
    left, right = st.columns(2)
    uploads = [
        column.file_uploader(title, type=["jpg", "jpeg", "png", "webp"], key=key)
        for column, title, key in ((left, "First face", "face1"), (right, "Second face", "face2"))
    ]
    embeddings = []
    for column, upload in zip((left, right), uploads, strict=True):
        with column:
            embeddings.append(None if upload is None else _embed(path, upload.name, upload.getvalue()))
    first, second = embeddings
    if first is None and second is None:
        st.info("Upload one face to find the samples most like it, a second to compare the two.")
        return
    if first is not None and second is not None:
        measure = pairs.distance(result)
        alike = float(pairs.alike(first[None], second, measure)[0])
        st.metric("Similarity", number(alike, 4))
        threshold = pairs.fitted(result).get(f"threshold/{measure}")
        if threshold is not None:
            verdict = "One person" if alike >= threshold else "Two people"
            st.markdown(f"**{verdict}**, at the threshold {threshold:.4f} of validation.")
    wanted = first if first is not None else second
    assert wanted is not None
    st.subheader("Most alike among the samples")
    alike_all = np.nan_to_num(pairs.alike(result.predictions.array(EMBEDDING), wanted, pairs.distance(result)), nan=-np.inf)
    nearest = np.argsort(-alike_all, kind="stable")[:SHOWN]
    gallery(result, nearest, lambda row: [result.samples.id(row), f"{alike_all[row]:.4f}"])


def _embed(path: Path, name: str, content: bytes) -> np.ndarray | None:
    from inspection import models

    try:
        st.image(pictures.uploaded(content), width=180)
        said = models.answer(models.ready(path), content)
        if said.note:
            st.caption(said.note)
        return np.asarray(said.prediction[EMBEDDING])
    except (UserError, ImageError, OSError, KeyError) as error:
        problem(f"{name}: {error}")
        return None


# Map ----------------------------------------------------------------------------------------------------------------


def _map(result: Result) -> None:
    """Show two dimensions of the embeddings; a click on a point opens its picture."""
    places = pairs.flat(result.predictions.array(EMBEDDING))
    rows = np.flatnonzero(np.isfinite(places).all(axis=1))
    rows = rows[:: max(1, -(-len(rows) // ON_MAP))]
    columns = ["one colour", *result.attributes]
    column = st.selectbox("Colour by", columns, key="colour", bind=QUERY)
    values = result.texts(column) if column in result.attributes else np.full(len(places), "samples", dtype=object)
    table = pd.DataFrame({"x": places[rows, 0], "y": places[rows, 1], "row": rows, "value": values[rows].astype(str),
                          "sample": [result.samples.id(int(row)) for row in rows]})  # fmt: skip
    pick = alt.selection_point(name=PICK, fields=["row"], on="click")
    legend = alt.Legend(orient="bottom") if 1 < table["value"].nunique() <= 12 else None
    chart = alt.Chart(table).mark_circle(size=70, cursor="pointer").encode(
        x=alt.X("x:Q", title="first principal component"), y=alt.Y("y:Q", title="second principal component"),
        color=alt.Color("value:N", title=None, legend=legend),
        opacity=alt.condition(pick, alt.value(0.9), alt.value(0.3)), tooltip=["sample:N", "value:N"],
    ).add_params(pick).properties(height=440)  # fmt: skip
    event = st.altair_chart(chart, key="map", on_select="rerun", selection_mode=PICK)
    chosen = [int(point["row"]) for point in event.selection.get(PICK) or []]
    st.caption(f"{len(rows):,} of {len(places):,} samples. Click a point to see its picture; with shift, several.")
    gallery(result, chosen[:SHOWN], lambda row: [result.samples.id(row)])


VIEW = View("Pairs", 40, show, frozenset({KIND.task}))
