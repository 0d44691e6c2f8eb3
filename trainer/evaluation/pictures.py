"""Predict pictures that are in no data set, with the preprocessing, the views and the decoder of evaluation."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from base.base_metric import BaseMetric
from base.base_pictures import BasePictures, Prepared
from base.predictions import Predictions
from trainer.experiment import build, loading
from trainer.experiment.loading import Loaded
from trainer.training.predict import predict_pictures
from utils.config import Overrides
from utils.errors import UserError

BATCH = 64  # largest number of pictures that pass through the model at a time
Picture = str | Path | bytes | np.ndarray  # a file, its bytes, or pixels (H, W, 3) uint8 RGB


class Ready(NamedTuple):
    """A picture that is prepared for the model. size: height and width of the picture as it was given."""

    name: str
    prepared: Prepared
    size: tuple[int, int]


class PictureModel:
    """A trained model with the preprocessing of its run, for several threads. Hold the lock to compute with its network."""

    def __init__(self, loaded: Loaded, pictures: BasePictures, device: torch.device) -> None:
        self.loaded, self.pictures, self.device = loaded, pictures, device
        self.lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, device: torch.device, overrides: Overrides = ()) -> PictureModel:
        """Return the model of a checkpoint or an exported file. Raises UserError if loading fails."""
        loaded = loading.load_model(path, device, overrides)
        return cls(loaded, build.build_loader(loaded.experiment, device, loaded.spec).pictures, device)

    def predictions(self, pictures: Iterable[Picture]) -> Predictions:
        """Return a row for each picture, in order, as metrics show them: with what was fitted on validation.

        A row's id is the name of the file, or the number of the picture. Raises UserError if there is no picture, or a picture
        cannot be used.
        """
        pieces = list(self.blocks(pictures))
        if not pieces:
            raise UserError("there is no picture to predict; give at least one")
        return self.adjusted(Predictions.joined(pieces))

    def blocks(self, pictures: Iterable[Picture]) -> Iterator[Predictions]:
        """Yield the predictions of the next pictures, in order, as test.py writes them. Raises UserError like `predictions`."""
        remaining = iter(enumerate(pictures))
        with ThreadPoolExecutor() as pool:
            while batch := list(islice(remaining, BATCH)):
                yield self.predict(list(pool.map(lambda item: self.read(item[1], item[0]), batch)))

    def predict(self, ready: Sequence[Ready]) -> Predictions:
        """Return the predictions of prepared pictures, in order."""
        inference = build.build_inference(self.loaded.experiment, self.loaded.spec)
        pictures = [(one.name, one.prepared.image, one.prepared.affine) for one in ready]
        with self.lock:
            return predict_pictures(self.loaded.model, pictures, self.device, inference)

    def adjusted(self, predictions: Predictions) -> Predictions:
        """Return predictions as the metrics show them, with what was fitted on validation."""
        for metric in self.metrics():
            predictions = metric.adjust(predictions)
        return predictions

    def metrics(self) -> list[BaseMetric]:
        """Return the metrics of the config, with what was fitted on validation."""
        metrics = build.build_metrics(self.loaded.experiment, self.loaded.spec)
        for metric in metrics:
            metric.use(self.loaded.fitted.get(metric.state_key, {}))
        return metrics

    def prepare(self, pixels: np.ndarray, name: str) -> Ready:
        """Return a picture (H, W, 3) uint8 RGB as the model takes it."""
        return Ready(name, self.pictures.preprocess(pixels), (pixels.shape[0], pixels.shape[1]))

    def read(self, picture: Picture, number: int) -> Ready:
        """Return a picture as the model takes it. number: its name if it is no file. Raises UserError if it cannot be used."""
        name = str(picture) if isinstance(picture, str | Path) else str(number)
        if isinstance(picture, np.ndarray):
            pixels = _pixels(picture, name)
        else:
            try:
                content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
                pixels = self.pictures.decode(content)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise UserError(f"{name}: cannot be read ({reason})") from None
        return self.prepare(pixels, name)


def _pixels(picture: np.ndarray, name: str) -> np.ndarray:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        found = f"{'x'.join(map(str, picture.shape))} {picture.dtype}"
        raise UserError(f"picture {name}: found {found}; allowed: an array (height, width, 3) of uint8, in RGB")
    return np.ascontiguousarray(picture)
