"""Models in memory, shared by all sessions, and their answers to a picture. Importing this imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inspection.cache import by_file
from inspection.kinds import kinds_of
from model.exporting.exported import ExportedModel
from trainer.evaluation.pictures import PictureModel
from trainer.training.predict import evaluating
from utils.device import autocast, to_float32
from utils.errors import UserError

KEPT = 2  # models in memory: the chosen model, and a second model to compare it with
GRID = 4  # smallest useful number of cells along a map's shorter side


@dataclass(frozen=True)
class Answer:
    """A model's prediction for one picture."""

    seen: np.ndarray  # (h, w, 3) uint8 RGB, as the model saw it
    size: tuple[int, int]  # height and width of the picture as it was given to the loader
    prediction: dict[str, np.ndarray]  # column of Predictions -> value for this picture
    kinds: Sequence[str] = ()  # the tasks whose prediction this is
    note: str = ""  # for the user: how the picture was cropped


@by_file(entries=KEPT)
def ready(path: Path) -> PictureModel:
    """Return the model of a checkpoint or an exported file, one copy for all sessions. Raises UserError if loading fails."""
    return PictureModel.open(path, torch.device("cpu"))


def answer(model: PictureModel, content: bytes) -> Answer:
    """Return the model's answer for the bytes of a picture, with the loader's preprocessing and the config's inference.

    Raises ImageError if the bytes are not a picture.
    """
    picture = model.prepare(model.pictures.decode(content), "picture")
    predictions = model.adjusted(model.predict([picture]))
    prediction = {
        name: predictions.lists(name)[0] if predictions.ragged(name) else predictions.array(name)[0] for name in predictions.names
    }
    kinds = kinds_of(predictions.columns.schema, model.loaded.spec)
    return Answer(_picture(picture.prepared.image), picture.size, prediction, kinds, picture.prepared.note)


def saliency(model: PictureModel, content: bytes, score: Callable[[dict[str, Any]], Tensor]) -> np.ndarray:
    """Return a map (h, w) float32 in [0, 1] of where in the picture the score comes from.

    Grad-CAM (Selvaraju et al. 2017), equations 1 and 2, at the last layer whose output is a map of at least GRID cells a side.
    For a network without maps (a transformer) the map is the absolute value of gradient times input. score: function from the
    prediction of one sample to a scalar. Raises UserError if the score does not depend on the picture, or the model is an
    ONNX file.
    """
    network = model.loaded.model
    if isinstance(network, ExportedModel):
        raise UserError("an ONNX file does not say where its answer comes from; choose the checkpoint it was made from")
    with model.lock, evaluating(network), torch.inference_mode(False), torch.enable_grad():
        image = model.prepare(model.pictures.decode(content), "picture").prepared.image
        pixels = image[None].float().requires_grad_()
        with _Maps(network) as maps:
            value = score(_predicted(model, pixels))
        if not value.requires_grad:
            raise UserError("this prediction cannot be traced back to the picture")
        layer = maps.best()
        gradient = torch.autograd.grad(value, pixels if layer is None else layer, allow_unused=True)[0]
        if gradient is None:
            raise UserError("this prediction cannot be traced back to the picture")
        heat = _times_input(gradient, pixels) if layer is None else _grad_cam(gradient, layer)
    return _normalised(heat.detach())


def _grad_cam(gradient: Tensor, layer: Tensor) -> Tensor:
    """Return the Grad-CAM map (h, w) of a layer's gradient and output, (1, C, h, w) each."""
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * layer).sum(dim=1)[0].relu()


def _times_input(gradient: Tensor, pixels: Tensor) -> Tensor:
    """Return |gradient * pixels|, averaged over blocks of 8 x 8 since single pixels are noisy: (1, 3, H, W) -> (H / 8, W / 8)."""
    return nn.functional.avg_pool2d((gradient * pixels).abs().sum(dim=1, keepdim=True), 8, ceil_mode=True)[0, 0]


def _normalised(heat: Tensor) -> np.ndarray:
    span = float(heat.max() - heat.min())
    return ((heat - heat.min()) / (span or 1.0)).float().numpy()


class _Maps:
    """The outputs (1, C, h, w) of a network's modules that are maps, in the order of computation."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.outputs, self.handles = network, list[Tensor](), list[Any]()

    def __enter__(self) -> _Maps:
        self.handles = [part.register_forward_hook(self._keep) for part in self.network.modules() if part is not self.network]
        return self

    def __exit__(self, *details: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _keep(self, module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1 and output.requires_grad:
            self.outputs.append(output)

    def best(self) -> Tensor | None:
        """Return the last map (1, C, h, w) of at least GRID cells a side, else the last map; None if there is no map."""
        fine = [output for output in self.outputs if min(output.shape[2:]) >= GRID]
        chosen = fine or self.outputs
        return chosen[-1] if chosen else None


def _predicted(model: PictureModel, image: Tensor) -> dict[str, Any]:
    network, settings = model.loaded.model, model.loaded.experiment.config.trainer
    with autocast(image.device, settings.precision):
        outputs = network(image)
    return dict(network.decode(to_float32(outputs)))


def _picture(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy())
