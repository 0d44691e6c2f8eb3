"""The page Boxes: truth and predictions on the pictures, the kind of each mistake, precision and recall of each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from base.detection.objects import OBJECT, class_counts, has_objects, objects_of
from data_loader.pictures.decode import ImageError, read_image
from inspection import pictures
from inspection.cache import by_file
from inspection.detection import boxes
from inspection.detection.boxes import Boxes
from inspection.detection.drawing import drawn
from inspection.detection.kind import KIND
from inspection.results import Result
from inspection.text import literal, number
from inspection.views.common import QUERY, View, chosen_result, chosen_run, no_run_chosen, pages, plain
from model.detection.average_precision import Curves
from utils.errors import UserError

ANY = "any"
SHOWN = 4
SIZES = {
    "any": (0.0, np.inf),
    "small (under 32 px)": (0.0, 32.0),
    "medium (32 to 96 px)": (32.0, 96.0),
    "large (over 96 px)": (96.0, np.inf),
}


@dataclass(frozen=True)
class Judged:
    """All predicted boxes of an evaluation and the true boxes, one Boxes for each picture."""

    predicted: list[Boxes]
    truth: list[Boxes] | None
    objects: np.ndarray  # (K,) true objects of each class
    curves: Curves | None  # None without truth


def show() -> None:
    """Show the sliders, the number of each kind of mistake, pictures and curves."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    result = chosen_result(run, VIEW.kinds)
    if result is None:
        return
    names = result.spec.classes.get(OBJECT, [])
    left, right = st.columns(2)
    confidence = left.slider("Confidence", 0.0, 1.0, 0.3, 0.01, key="confidence", bind=QUERY)
    overlap = right.slider("Overlap (IoU) of a right box", 0.5, 0.95, 0.75, 0.05, key="overlap", bind=QUERY)
    data = _judged(result.file, result, tuple(names), boxes.detections(run.config))
    at = boxes.judged(data.predicted, data.truth, confidence, overlap) if data.truth is not None else pd.DataFrame()
    if data.truth is not None:
        _figures(at, data)
    _pictures(result, data, at, names, confidence)
    if data.curves is not None:
        _curves(data.curves, data.objects, names, overlap)


@by_file(entries=4)
def _judged(path: Path, result: Result, names: tuple[str, ...], detections: int) -> Judged:
    columns = result.predictions
    predicted = [Boxes(*lists) for lists in zip(*(columns.lists(name) for name in ("boxes", "labels", "scores")), strict=True)]
    if not has_objects(result.samples):
        return Judged(predicted, None, np.zeros(len(names), int), None)
    truth = true_boxes(result, list(names))
    counts = np.asarray(class_counts(result.samples, list(names)))
    return Judged(predicted, truth, counts, boxes.curves(predicted, truth, len(names), detections))


def true_boxes(result: Result, names: list[str]) -> list[Boxes]:
    """Return the true boxes of every sample; objects of classes that are not in `names` are left out."""
    objects = objects_of(result.samples)
    labels, ends = objects.labels(names), objects.ends[1:-1]
    each = zip(np.split(objects.boxes, ends), np.split(labels, ends), strict=True)
    return [Boxes(corners[known], own[known]) for corners, own in each for known in [own >= 0]]


def _figures(at: pd.DataFrame, data: Judged) -> None:
    counts = at["kind"].value_counts()
    with st.container(horizontal=True):
        st.metric("Objects", f"{int(data.objects.sum()):,}", width=85)
        for kind in boxes.KINDS:
            st.metric(kind.capitalize(), f"{int(counts.get(kind, 0)):,}", width=90)


# Pictures -----------------------------------------------------------------------------------------------------------


def _pictures(result: Result, data: Judged, at: pd.DataFrame, names: list[str], confidence: float) -> None:
    rows = np.arange(len(result.samples))
    if data.truth is not None:
        rows = _filtered(at, names, rows)
    query = st.text_input("Search", key="query", bind=QUERY, placeholder="words in id, path or any column")
    if query:
        rows = rows[result.matching(query)[rows]]
    st.markdown(f"**{len(rows):,}** of {len(result.samples):,} pictures")
    if not len(rows):
        st.info("No picture fits these filters.")
        return
    chosen = rows[pages(len(rows), "boxes", SHOWN)]
    for start in range(0, len(chosen), 2):
        for column, row in zip(st.columns(2), chosen[start : start + 2].tolist(), strict=False):
            with column:
                _picture(result, data, at, names, confidence, row)


def _filtered(at: pd.DataFrame, names: list[str], rows: np.ndarray) -> np.ndarray:
    """Let the user choose a kind, class and size; return the rows with such boxes, (n,) integers, those with the most first."""
    first, second, third = st.columns(3)
    kind = first.selectbox("Mistake", [ANY, *boxes.KINDS], key="kind", bind=QUERY)
    label = second.selectbox("Class", [ANY, *names], key="class", bind=QUERY)
    low, high = SIZES[third.selectbox("Size", list(SIZES), key="size", bind=QUERY)]
    if kind == ANY and label == ANY and low == 0.0 and high == np.inf:
        return rows
    fits = (at["side"] >= low) & (at["side"] < high)
    fits &= (at["kind"] == kind) if kind != ANY else True
    fits &= (at["label"] == names.index(label)) if label != ANY else True
    counts = at[fits].groupby("sample").size().sort_values(ascending=False, kind="stable")
    return np.asarray(counts.index, int)


def _picture(result: Result, data: Judged, at: pd.DataFrame, names: list[str], confidence: float, row: int) -> None:
    """Show one picture with the truth dashed and the predictions numbered, and a table with the kind of each box."""
    sample = result.samples.id(row)
    plain(sample)
    if reason := result.predictions.failed().get(sample):
        st.warning(literal(reason))
        return
    try:
        image = read_image(result.picture(row))
    except (UserError, ImageError) as error:
        st.warning(literal(error), icon=":material/broken_image:")
        return
    chosen = data.predicted[row].above(confidence)
    canvas, size = pictures.fitted(image, pictures.LARGE), image.shape[:2]
    if data.truth is not None:
        canvas = drawn(canvas, data.truth[row].boxes, data.truth[row].labels, size, dashed=True)
    st.image(drawn(canvas, chosen.boxes, chosen.labels, size), width="stretch")
    mine = at[at["sample"] == row] if data.truth is not None else pd.DataFrame({"label": chosen.labels, "score": chosen.scores})
    table = mine.drop(columns=["sample"], errors="ignore")
    table = table.assign(label=[names[label] if label < len(names) else str(label) for label in table["label"].astype(int)])
    table.insert(0, "box", [str(number + 1) if number < len(chosen.labels) else "" for number in range(len(table))])
    config = {
        "score": st.column_config.NumberColumn(format="%.3f"),
        "side": st.column_config.NumberColumn("size, px", format="%.0f"),
    }
    if len(table):
        st.dataframe(table.rename(columns={"label": "class"}), hide_index=True, column_config=config)
    else:
        st.caption("No box at this confidence, and no object.")


# Curves -------------------------------------------------------------------------------------------------------------


def _curves(curves: Curves, objects: np.ndarray, names: list[str], overlap: float) -> None:
    """Show precision over recall of each class, and its average precision."""
    st.subheader("Precision and recall")
    table = boxes.precision_recall(curves, overlap)
    if table.empty:
        st.info("There are no objects.")
        return
    shown = table.assign(name=[names[label] for label in table["label"]])
    axis, whole = alt.Axis(format="%"), alt.Scale(domain=[0, 1])
    chart = alt.Chart(shown).mark_line(interpolate="step-before").encode(
        x=alt.X("recall:Q", axis=axis, scale=whole), y=alt.Y("precision:Q", axis=axis, scale=whole), order="recall:Q",
        color=alt.Color("name:N", title=None, sort=names, legend=alt.Legend(orient="bottom", labelLimit=200)),
        tooltip=["name:N", alt.Tooltip("precision:Q", format=".1%"), alt.Tooltip("recall:Q", format=".1%")],
    )  # fmt: skip
    st.altair_chart(chart.properties(height=340))
    areas = (boxes.average_precision(curves, overlap, label) for label in range(len(names)))
    rows = [(name, int(count), number(area)) for name, count, area in zip(names, objects, areas, strict=True)]
    st.dataframe(pd.DataFrame(rows, columns=["class", "objects", "average precision"]), hide_index=True)
    st.caption("Average precision at the chosen overlap, as COCO defines it and as the metrics of the run compute it.")


VIEW = View("Boxes", 50, show, frozenset({KIND.task}))
