"""Predict: pictures of yours through a run's own preprocessing, model and decoder, and why it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from data_loader.pictures.decode import ImageError
from inspection import pictures, results
from inspection.drawing import drawn
from inspection.runs import Run
from inspection.text import literal
from inspection.views.common import QUERY, View, chosen_run, model_box, no_runs, other_run, plain, problem
from utils.errors import UserError

if TYPE_CHECKING:
    from inspection.models import Answer, Ready

TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
SHOWN = 8  # numbers of an embedding
CONFIDENCE = 0.3


def show() -> None:
    """Upload pictures or take one, see what one or two models say of them."""
    run = chosen_run()
    if run is None:
        no_runs()
        return
    models = _models(run)
    if not models:
        return
    contents = _contents()
    why = st.toggle("Show why (Grad-CAM)", key="why", bind=QUERY, help="where in the picture the answer comes from")
    for name, content in contents:
        st.divider()
        _one(name, content, models, why)


def _models(run: Run) -> list[tuple[str, Ready]]:
    """The run's model, and a second one to compare with, each with the name of its run and file."""
    left, right = st.columns(2)
    with left:
        chosen = [(run, model_box(run, "Model", "model"))]
    with right:
        other = other_run("Compare with", "against", None if len(run.model_files) > 1 else run)
        if other is not None:
            chosen.append((other, model_box(other, "Its model", "against-model")))
    ready = [(f"{one.label}/{path.name}", _model(path)) for one, path in chosen if path is not None]
    return [(name, model) for name, model in ready if model is not None]


def _model(path: Path) -> Ready | None:
    """A model, in memory once for all; a message where it cannot be loaded."""
    with st.spinner("loading the model"):
        from inspection import models

        try:
            return models.ready(path)
        except (UserError, OSError) as error:
            st.error("This run's model cannot be loaded.", icon=":material/error:")
            problem(error)
            return None


def _contents() -> list[tuple[str, bytes]]:
    """Name and bytes of what was uploaded or photographed."""
    left, right = st.columns([3, 1])
    uploads = left.file_uploader("Pictures", type=TYPES, accept_multiple_files=True, key="pictures")
    photo = None
    if right.toggle("Camera", help="take a picture with this machine's camera"):
        photo = st.camera_input("Photo")
    if not uploads and photo is None:
        st.info("Upload a picture, or switch the camera on, to see the model's answer.", icon=":material/add_photo_alternate:")
    if len(uploads) > pictures.MAX_FILES:
        problem(f"{len(uploads)} pictures; allowed: {pictures.MAX_FILES} at once. The first {pictures.MAX_FILES} are shown.")
    given = [(upload.name, upload) for upload in uploads[: pictures.MAX_FILES]] + (
        [("photo", photo)] if photo is not None else []
    )
    return [(name, upload.getvalue()) for name, upload in given]


def _one(name: str, content: bytes, models: list[tuple[str, Ready]], why: bool) -> None:
    """A picture as it is, and a column for each model."""
    try:
        picture = pictures.uploaded(content)
    except ImageError as error:
        problem(f"{name}: {error}")
        return
    columns = st.columns(1 + len(models))
    with columns[0]:
        plain(name)
        st.image(picture, width=260)
    for number, (column, (label, model)) in enumerate(zip(columns[1:], models, strict=True)):
        with column:
            plain(label)
            _said(model, content, picture, f"{number}-{label}-{name}", why)


def _said(model: Ready, content: bytes, picture: np.ndarray, key: str, why: bool) -> None:
    """What one model says of one picture."""
    from inspection.models import answer

    try:
        with st.spinner("computing"):
            said = answer(model, content)
    except (UserError, ImageError) as error:
        problem(error)
        return
    if said.note:
        st.caption(said.note)
    spec = model.loaded.spec
    labels = [
        name for name, value in said.prediction.items() if name in spec.classes and value.shape == (len(spec.classes[name]),)
    ]
    heat = _why(model, content, said, labels, key) if why else None
    with st.container(horizontal=True):
        for image, caption in (
            (said.seen, "as the model sees it, at {} x {} pixels".format(*said.seen.shape[:2])),
            (heat, "warm: what speaks for it"),
        ):
            if image is not None:
                with st.container(width=165):
                    st.image(image, width=160)
                    st.caption(caption)
    for label in labels:
        _probabilities(label, spec.classes[label], said.prediction[label])
    if results.BOXES in said.prediction:
        _boxes(said, picture, next(iter(spec.classes.values()), []))
    if results.EMBEDDING in said.prediction:
        _embedding(said.prediction[results.EMBEDDING])


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


def _boxes(said: Answer, picture: np.ndarray, names: list[str]) -> None:
    least = st.session_state.get("confidence", CONFIDENCE)
    boxes, scores, numbers = (np.asarray(said.prediction[name]) for name in ("boxes", "scores", "labels"))
    chosen = np.flatnonzero(scores >= least)
    st.image(drawn(picture, boxes[chosen], numbers[chosen], said.size), width="stretch")
    classes = [names[int(number)] if int(number) < len(names) else str(int(number)) for number in numbers[chosen]]
    rows = pd.DataFrame(boxes[chosen].round(1), columns=["x1", "y1", "x2", "y2"])
    rows.insert(0, "class", classes)
    rows.insert(1, "score", scores[chosen].astype(float))
    st.dataframe(rows, hide_index=True, column_config={"score": st.column_config.NumberColumn(format="%.3f")})


def _embedding(values: np.ndarray) -> None:
    st.metric("Numbers in the embedding", len(values))
    first = ", ".join(f"{value:.3f}" for value in values[:SHOWN])
    st.caption(f"length {np.linalg.norm(values):.3f}; it begins {first}, …")


def _why(model: Ready, content: bytes, said: Answer, labels: list[str], key: str) -> np.ndarray | None:
    """The picture under a map of where the score of a chosen class comes from; a message where there is none."""
    from inspection.models import saliency

    if labels:
        spec = model.loaded.spec
        options = [(label, index) for label in labels for index in range(len(spec.classes[label]))]
        likely = options.index((labels[0], int(said.prediction[labels[0]].argmax())))
        label, index = st.selectbox(
            "Why",
            options,
            index=likely,
            key=f"why-{key}",
            format_func=lambda option: f"{option[0]}: {spec.classes[option[0]][option[1]]}",
        )
        score: Callable[[dict[str, Any]], Any] = lambda prediction: prediction[label][0, index].clamp_min(1e-12).log()  # noqa: E731
    elif results.BOXES in said.prediction:
        score = _best_box
    else:
        score = _most_typical
    try:
        heat = saliency(model, content, score)
    except (UserError, ImageError) as error:
        st.info(literal(error))
        return None
    return pictures.heated(said.seen, heat)


def _best_box(prediction: dict[str, Any]) -> Any:
    """The score of the most confident box; without one there is nothing to explain."""
    scores = prediction["scores"][0]
    if not len(scores):
        raise UserError("there is no box to explain")
    return scores.max()


def _most_typical(prediction: dict[str, Any]) -> Any:
    """How strongly the embedding points along its own largest coordinates, as they are: its length is always 1."""
    embedding = prediction[results.EMBEDDING][0]
    return embedding[embedding.detach().abs().topk(min(8, len(embedding))).indices].square().sum()


VIEW = View("Predict", 20, show, frozenset({results.ATTRIBUTES, results.BOXES, results.EMBEDDING}))
