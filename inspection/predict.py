"""Predict: a picture of yours through a run's own preprocessing, model and decoder."""

from __future__ import annotations

import pandas as pd
import streamlit as st
import torch

from data_loader.decode import ImageError, decode_image
from inspection.data import UserError, choose_run, model
from trainer.build import find_checkpoint
from trainer.predict import evaluating
from utils.device import autocast, to_float32


def show() -> None:
    """Upload a picture, see what the model says of it."""
    st.title("Predict")
    run = choose_run("Run")
    if run is None:
        return
    try:
        path = find_checkpoint(run.folder)
        loaded, loader = model(str(path), path.stat().st_mtime)
    except (UserError, OSError) as error:
        st.error(f"This run's model cannot be loaded: {error}")
        return
    upload = st.file_uploader("Picture", type=["jpg", "jpeg", "png", "webp", "bmp"])
    if upload is None:
        st.info("Upload a picture of a person to see the model's answer.")
        return
    try:
        picture, small = decode_image(upload.getvalue()), loader.decode(upload.getvalue())
    except ImageError as error:
        st.error(f"{upload.name}: {error}")
        return
    image = loader.preprocess(small)
    with evaluating(loaded.model):
        with autocast(image.device, loaded.experiment.config.trainer.precision):
            outputs = loaded.model(image[None])
        prediction = loaded.model.decode(to_float32(outputs))
    left, right = st.columns(2)
    left.image(picture, caption="as uploaded")
    right.image(image.permute(1, 2, 0).numpy(), caption="as the model sees it")
    for label, values in prediction.items():
        if isinstance(values, torch.Tensor) and label in loaded.spec.classes:
            names = loaded.spec.classes[label]
            probabilities = values[0].tolist()
            st.subheader(f"{label}: {names[int(values[0].argmax())]}")
            st.dataframe(pd.DataFrame({"class": names, "probability": probabilities}), hide_index=True)
