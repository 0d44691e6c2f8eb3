"""The page Predict: the answers of a run's model to uploaded pictures, and maps that explain the answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from data_loader.pictures.decode import ImageError
from inspection import pictures
from inspection.kinds import all_kinds
from inspection.runs import Run
from inspection.text import literal
from inspection.views.common import QUERY, View, chosen_run, model_box, no_run_chosen, other_run, plain, problem
from inspection.views.tasks import task_views
from utils.errors import UserError

if TYPE_CHECKING:
    from inspection.models import Answer
    from trainer.evaluation.pictures import PictureModel

TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]


def show() -> None:
    """Let the user upload or take pictures, and show the answers of one or two models."""
    run = chosen_run()
    if run is None:
        no_run_chosen()
        return
    models = _models(run)
    if not models:
        return
    contents = _contents()
    why = st.toggle("Show why (Grad-CAM)", key="why", bind=QUERY, help="where in the picture the answer comes from")
    for name, content in contents:
        st.divider()
        _one(name, content, models, why)


def _models(run: Run) -> list[tuple[str, PictureModel]]:
    """Return the run's model, and a second model if the user chooses one, each with the name of its run and file."""
    left, right = st.columns(2)
    with left:
        chosen = [(run, model_box(run, "Model", "model"))]
    with right:
        other = other_run("Compare with", "against", None if len(run.model_files) > 1 else run)
        if other is not None:
            chosen.append((other, model_box(other, "Its model", "against-model")))
    ready = [(f"{one.label}/{path.name}", _model(path)) for one, path in chosen if path is not None]
    return [(name, model) for name, model in ready if model is not None]


def _model(path: Path) -> PictureModel | None:
    """Return a model, which all sessions share; show a message and return None if it cannot be loaded."""
    with st.spinner("loading the model"):
        from inspection import models

        try:
            return models.ready(path)
        except (UserError, OSError) as error:
            st.error("This run's model cannot be loaded.", icon=":material/error:")
            problem(error)
            return None


def _contents() -> list[tuple[str, bytes]]:
    """Return the name and bytes of every uploaded picture and of the photo."""
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


def _one(name: str, content: bytes, models: list[tuple[str, PictureModel]], why: bool) -> None:
    """Show a picture, and a column with the answer of each model. why: also show the map that explains the answer."""
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


def _said(model: PictureModel, content: bytes, picture: np.ndarray, key: str, why: bool) -> None:
    """Show the answer of one model to a picture. content: the upload. picture: the same decoded, (H, W, 3) uint8 RGB."""
    from inspection.models import answer

    try:
        with st.spinner("computing"):
            said = answer(model, content)
    except (UserError, ImageError) as error:
        problem(error)
        return
    if said.note:
        st.caption(said.note)
    if not said.kinds:
        st.info("This model predicts nothing that this page can show.")
    heat = _why(model, content, said, key) if why and said.kinds else None
    with st.container(horizontal=True):
        for image, caption in (
            (said.seen, "as the model sees it, at {} x {} pixels".format(*said.seen.shape[:2])),
            (heat, "warm: what speaks for it"),
        ):
            if image is not None:
                with st.container(width=165):
                    st.image(image, width=160)
                    st.caption(caption)
    for kind in said.kinds:
        task_views()[kind].show(said, picture, model.loaded.spec)


def _why(model: PictureModel, content: bytes, said: Answer, key: str) -> np.ndarray | None:
    """Return the picture (h, w, 3) uint8 RGB with the map of the score laid over it; show a message if there is no map."""
    from inspection.models import saliency

    score = task_views()[said.kinds[0]].score(said, model.loaded.spec, f"why-{key}")
    try:
        heat = saliency(model, content, score)
    except (UserError, ImageError) as error:
        st.info(literal(error))
        return None
    return pictures.heated(said.seen, heat)


VIEW = View("Predict", 20, show, frozenset(all_kinds()))
