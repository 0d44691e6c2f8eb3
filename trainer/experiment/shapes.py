"""The rehearsal without data and without a device: shapes pass the network, values made up pass the loss and the decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from base.base_loss import BaseLoss
from base.base_model import BaseModel
from base.contracts import Batch, DataSpec, Outputs
from trainer.experiment import build
from trainer.experiment.blame import Tried, blaming
from trainer.experiment.checking import Experiment
from trainer.experiment.rehearsal import same_random_numbers
from trainer.training.contract import require_prediction, require_terms
from utils.errors import UserError

META = torch.device("meta")


def require_shapes(experiment: Experiment) -> None:
    """Refuse a config whose network cannot take its batches; read no data, and compute no network.

    A piece of the batch of `batch_size` passes the network on torch's meta device, which computes shapes alone; if pieces
    differ in size, the smallest passes too. Loss and decoder get random numbers of the outputs' shapes. Does nothing if the
    loader does not know its batches from the config.

    Raises UserError, one line that names the key to change.
    """
    loader = build.build_loader(experiment, torch.device("cpu"))
    size, pieces = getattr(experiment.config.data_loader.args, "batch_size", 1), experiment.config.trainer.accumulate
    with same_random_numbers():
        torch.manual_seed(0)
        for number in sorted({-(-size // pieces), size // pieces}, reverse=True):
            sketch = loader.sketch(number)
            try:
                if sketch is not None:
                    _require(experiment, *sketch)
            except UserError as error:
                if not _of_the_device(error.__cause__):
                    raise


def _of_the_device(error: BaseException | None) -> bool:
    """Return whether an operation failed because the meta device has no values; on another device it may succeed."""
    if not isinstance(error, RuntimeError):  # NotImplementedError is one
        return False
    return isinstance(error, NotImplementedError) or any(word in str(error) for word in ("meta", "autocast"))


def _require(experiment: Experiment, spec: DataSpec, batch: Batch) -> None:
    tried = Tried.of(batch)
    with blaming(experiment, "arch", tried):
        with META:
            model = build.build_model(experiment, spec, fresh=False)
        outputs = _passed(model, batch)
    with blaming(experiment, "loss", tried):
        loss: BaseLoss = build.build_loss(experiment, spec, model)
        require_terms(loss, loss.terms(outputs, batch["target"]))
    with blaming(experiment, "arch", tried):
        require_prediction(model, model.eval().decode(outputs), tried.samples, spec)


def _passed(model: BaseModel, batch: Batch) -> Outputs:
    """Return outputs of the model's shapes on the CPU: random in [0, 1), which may be probabilities as well as logits."""

    def made_up(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return torch.zeros(tensor.shape, dtype=tensor.dtype)
        return torch.rand(tensor.shape, dtype=tensor.dtype).requires_grad_()

    on_meta = _each({"image": batch["image"], "target": batch["target"]}, lambda tensor: tensor.to(META))
    outputs: Outputs = _each(model(on_meta["image"], on_meta["target"]), made_up)
    return outputs


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a value with every tensor in it changed, within dictionaries, lists and tuples."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_each(item, change) for item in value)
    return value
