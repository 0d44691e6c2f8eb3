"""Predictions of a model for a loader's samples. Training, test.py and the app use the same functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from base.base_data_loader import BaseDataLoader
from base.base_fusion import BaseFusion
from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.base_view import BaseView
from base.contracts import Batch, Outputs, Prediction
from base.predictions import Predictions
from model.fusion import MeanFusion
from utils import distributed
from utils.device import autocast, to_device, to_float32

BatchLosses = dict[int, dict[str, tuple[float, float]]]  # batch number -> term -> (total, weight)


@dataclass(frozen=True)
class Inference:
    """The settings of predictions, which are the same in training, test.py and the app.

    precision: of the network. views: predicted in addition to the plain pictures. fusion: makes one prediction of all views.
    """

    precision: str = "fp32"
    views: Sequence[BaseView] = ()
    fusion: BaseFusion = field(default_factory=MeanFusion)

    def look(self, model: BaseModel, image: Tensor, geometry: Tensor | None) -> Iterator[tuple[Outputs, Prediction]]:
        """Yield outputs and prediction of a batch for each view, the plain view first; each is computed when it is asked for.

        image: (B, 3, H, W) uint8 on the model's device. geometry: (B, 2, 3) on any device, as in a Batch. The model is in
        evaluation mode. What has coordinates has them in the original pictures.
        """
        assert geometry is not None or type(model).move is BaseModel.move, "a loader for coordinates gives their geometry"
        for view in (None, *self.views):
            seen, affine = (image, None) if view is None else view.apply(image)
            with autocast(image.device, self.precision):
                outputs = model(seen)
            outputs = to_float32(outputs)
            prediction = model.decode(outputs)
            if affine is not None:
                prediction = model.move(prediction, affine.expand(len(image), 2, 3))
            if geometry is not None:
                prediction = model.move(prediction, geometry.to(image.device))
            yield outputs, prediction

    def fuse(self, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
        """Return the fused predictions of all views, or of several models. weights: of the models, None for equal weights."""
        return several[0] if len(several) == 1 else self.fusion.fuse(several, weights)


@contextmanager
def evaluation_mode(*modules: nn.Module | None) -> Iterator[None]:
    """Hold the modules in evaluation mode; afterwards restore the mode of every module within them."""
    given = [module for module in modules if module is not None]
    modes = [(part, part.training) for module in given for part in module.modules()]
    try:
        for module in given:
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def evaluating(*modules: nn.Module | None) -> Iterator[None]:
    """Hold the modules in evaluation mode, without gradients."""
    with evaluation_mode(*modules), torch.inference_mode():
        yield


def predict(
    model: BaseModel,
    loader: BaseDataLoader,
    split: str,
    device: torch.device,
    inference: Inference,
    loss: BaseLoss | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> tuple[Predictions | None, dict[str, float]]:
    """Return predictions for every sample of a split, in order of id, and the exact losses over it if `loss` is given.

    Whole batches are dealt to the processes, so that their number changes no bit of the result. Predictions are on the
    main process (None elsewhere), losses (of the plain view) on all. `on_batch(done, total)` is called by every process
    equally often.
    """
    pieces: list[list[Predictions]] = [[] for _ in (None, *inference.views)]
    losses: BatchLosses = {}
    batches = iter(loader.evaluation(split))
    rounds = math.ceil(len(loader.evaluation_order(split)) / distributed.world_size())
    ids = loader.table(split).ids()
    with evaluation_mode(model, loss):
        for done in range(rounds):
            item = next(batches, None)
            if item is not None:
                number, batch = item
                names = [ids[row] for row in batch["index"].tolist()]
                with torch.inference_mode():  # not around the loader, whose pictures training may get too
                    looks = inference.look(model, batch["image"].to(device, non_blocking=True), batch.get("geometry"))
                    for view, (outputs, prediction) in enumerate(looks):
                        if view == 0 and loss is not None and batch["target"]:
                            losses[number] = _losses(loss, outputs, batch, device)
                        pieces[view].append(Predictions.of(names, prediction, batch.get("error")))
            if on_batch is not None:
                on_batch(done + 1, rounds)
    by_view = [gathered for view in pieces if (gathered := _gather(view)) is not None]
    return inference.fuse(by_view) if by_view else None, _means(losses)


def predict_pictures(
    model: BaseModel, pictures: Sequence[tuple[str, Tensor, Tensor]], device: torch.device, inference: Inference
) -> Predictions:
    """Return predictions for pictures of no data set, in the given order. Neighbours of one size form a batch.

    pictures: name, and image (3, h, w) uint8 and geometry (2, 3) as `BasePictures.preprocess` gives them.
    """
    rows = []
    with evaluating(model):
        for _, alike in itertools.groupby(pictures, key=lambda picture: picture[1].shape):
            names, images, geometries = zip(*alike, strict=True)
            looks = inference.look(model, torch.stack(images).to(device), torch.stack(geometries))
            rows.append(inference.fuse([Predictions.of(names, prediction) for _, prediction in looks]))
    return Predictions.joined(rows)


def _losses(loss: BaseLoss, outputs: Outputs, batch: Batch, device: torch.device) -> dict[str, tuple[float, float]]:
    """Return the losses of a batch. This waits for the device: evaluation needs the values, not only their sum."""
    terms = loss.terms(outputs, to_device(batch["target"], device))
    return {name: (term.total.item(), float(term.weight)) for name, term in terms.items()}


def _gather(pieces: list[Predictions]) -> Predictions | None:
    everyone = distributed.gather_objects([piece.columns for piece in pieces])
    columns = [Predictions(table) for tables in everyone for table in tables]
    return Predictions.concatenate(columns) if columns else None


def _means(losses: BatchLosses) -> dict[str, float]:
    """Return the means of `loss` and its terms. The order of the sum is that of the batches, for any number of processes."""
    merged: BatchLosses = {}
    for some in distributed.broadcast_object(distributed.gather_objects(losses)):
        merged |= some
    sums: dict[str, list[float]] = {}
    for number in sorted(merged):
        for name, (total, weight) in merged[number].items():
            old = sums.setdefault(name, [0.0, 0.0])
            old[0], old[1] = old[0] + total, old[1] + weight
    means = {f"loss/{name}": total / weight for name, (total, weight) in sums.items() if weight}  # no mean for weight 0
    return {"loss": sum(means.values()), **means} if means else {}
