"""Model and loader in, Predictions out: the one evaluation loop of training, test.py and the app."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from base.base_data_loader import BaseDataLoader
from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.predictions import Predictions
from utils import distributed
from utils.device import autocast, to_device, to_float32

BatchLosses = dict[int, dict[str, tuple[float, float]]]  # batch number -> term -> (total, weight)


@contextmanager
def evaluating(*modules: nn.Module | None) -> Iterator[None]:
    """The modules in evaluation mode without gradients; afterwards every part of them in the mode it was in."""
    given = [module for module in modules if module is not None]
    modes = [(part, part.training) for module in given for part in module.modules()]
    try:
        for module in given:
            module.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, training in modes:
            part.training = training


def predict(
    model: BaseModel,
    loader: BaseDataLoader,
    split: str,
    device: torch.device,
    precision: str,
    loss: BaseLoss | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> tuple[Predictions | None, dict[str, float]]:
    """Predictions for every sample of a split, in order of id, and the exact losses over it if `loss` is given.

    Whole batches are dealt to the processes, so that their number changes no bit of the result. Predictions are on the
    main process (None elsewhere), losses on all. `on_batch(done, total)` is called by every process equally often.
    """
    pieces: list[Predictions] = []
    losses: BatchLosses = {}
    batches = iter(loader.evaluation(split))
    rounds = math.ceil(len(loader.evaluation_order(split)) / distributed.world_size())
    table = loader.table(split)
    for done in range(rounds):
        item = next(batches, None)
        if item is not None:
            number, batch = item
            with evaluating(model, loss):
                with autocast(device, precision):
                    outputs = model(batch["image"].to(device, non_blocking=True))
                outputs = to_float32(outputs)
                prediction = loader.restore(model.decode(outputs), batch)
                if loss is not None and batch["target"]:
                    # Waits for the device, as the predictions below do: evaluation needs the values, not only their sum.
                    terms = loss.terms(outputs, to_device(batch["target"], device))
                    losses[number] = {name: (term.total.item(), float(term.weight)) for name, term in terms.items()}
            ids = [table.id(int(row)) for row in batch["index"]]
            pieces.append(Predictions.of(ids, prediction, batch.get("error")))
        if on_batch is not None:
            on_batch(done + 1, rounds)
    return _gather(pieces), _means(losses)


def not_finite(predictions: Predictions) -> list[str]:
    """Ids of the samples that have a prediction which is not finite, though their pictures could be read."""
    failed, ids, bad = predictions.failed(), predictions.ids(), np.zeros(len(predictions), dtype=bool)
    for name in predictions.names:
        if pa.types.is_list(predictions.columns[name].type):
            bad |= np.array([not np.isfinite(row).all() for row in predictions.lists(name)], dtype=bool)
        else:
            bad |= ~np.isfinite(predictions.array(name)).reshape(len(bad), -1).all(axis=1)
    return [ids[row] for row in np.flatnonzero(bad) if ids[row] not in failed]


def _gather(pieces: list[Predictions]) -> Predictions | None:
    everyone = distributed.gather_objects([piece.columns for piece in pieces])
    columns = [Predictions(table) for tables in everyone for table in tables]
    return Predictions.concatenate(columns) if columns else None


def _means(losses: BatchLosses) -> dict[str, float]:
    """`loss` and each term of it, totalled in the order of the batches, the same whichever process had which."""
    merged: BatchLosses = {}
    for some in distributed.broadcast_object(distributed.gather_objects(losses)):
        merged |= some
    sums: dict[str, list[float]] = {}
    for number in sorted(merged):
        for name, (total, weight) in merged[number].items():
            old = sums.setdefault(name, [0.0, 0.0])
            old[0], old[1] = old[0] + total, old[1] + weight
    means = {f"loss/{name}": total / weight for name, (total, weight) in sums.items() if weight}  # none where nothing counts
    return {"loss": sum(means.values()), **means} if means else {}
