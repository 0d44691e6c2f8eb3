"""Model and loader in, Predictions out: the one evaluation loop of training, test.py and the app."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from base.base_data_loader import BaseDataLoader
from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.predictions import Predictions
from utils import distributed
from utils.device import autocast, to_device, to_float32

BatchLosses = dict[int, dict[str, tuple[float, float]]]  # batch number -> term -> (total, count)


@contextmanager
def evaluating(*modules: nn.Module | None) -> Iterator[None]:
    """The modules in evaluation mode without gradients; afterwards in the mode they were in, whatever happens."""
    modes = [(module, module.training) for module in modules if module is not None]
    try:
        for module, _ in modes:
            module.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.train(training)


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
                prediction = model.decode(outputs)
                if loss is not None:
                    terms = loss.terms(outputs, to_device(batch["target"], device))
                    losses[number] = {name: (term.total.item(), float(term.count)) for name, term in terms.items()}
            ids = [table.id(int(row)) for row in batch["index"]]
            pieces.append(Predictions.of(ids, prediction, batch.get("error")))
        if on_batch is not None:
            on_batch(done + 1, rounds)
    return _gather(pieces), _means(losses)


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
        for name, (total, count) in merged[number].items():
            old = sums.setdefault(name, [0.0, 0.0])
            old[0], old[1] = old[0] + total, old[1] + count
    means = {f"loss/{name}": total / count if count else 0.0 for name, (total, count) in sums.items()}
    return {"loss": sum(means.values()), **means} if means else {}
