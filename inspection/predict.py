"""Predict: a picture of yours through a run's own preprocessing, model and decoder."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from data_loader.decode import ImageError, decode_image
from inspection.data import UserError, choose_run, model
from trainer import build
from trainer.build import find_checkpoint
from trainer.predict import predict_pictures


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
    image, geometry = loader.preprocess(small)
    inference = build.build_inference(loaded.experiment, loaded.spec)
    predictions = predict_pictures(loaded.model, [(upload.name, image, geometry)], image.device, inference)
    left, right = st.columns(2)
    left.image(picture, caption="as uploaded")
    right.image(image.permute(1, 2, 0).numpy(), caption="as the model sees it")
    for label in (name for name in predictions.names if name in loaded.spec.classes):
        names, probabilities = loaded.spec.classes[label], predictions.array(label)[0]
        st.subheader(f"{label}: {names[int(probabilities.argmax())]}")
        st.dataframe(pd.DataFrame({"class": names, "probability": probabilities.tolist()}), hide_index=True)
