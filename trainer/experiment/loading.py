"""Load a trained model: a checkpoint or an exported file, with everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from base.base_model import BaseModel
from base.contracts import DataSpec
from base.saved.names import ONNX, PROGRAM
from model.exporting import exported
from model.exporting.exported import ExportedModel, UndecodedModel
from trainer.experiment import changing
from trainer.experiment.build import build_model
from trainer.experiment.checking import Experiment, check
from utils import checkpoint, files
from utils.config import Overrides
from utils.errors import UserError


@dataclass(frozen=True)
class Loaded:
    """A trained model as a checkpoint holds it, with everything that belongs to it."""

    path: Path
    experiment: Experiment
    state: Mapping[str, Any]
    spec: DataSpec
    model: BaseModel
    digest: str  # SHA-256 of the file

    @property
    def fitted(self) -> dict[str, Any]:
        """Metric -> values fitted on the validation samples of the run."""
        return dict(self.state["fitted"])

    @property
    def exported(self) -> bool:
        """True if the file was written by `python laurel.py export`: the model predicts, and has no loss."""
        return "loss" not in self.state


def load_model(path: Path, device: torch.device, overrides: Overrides = ()) -> Loaded:
    """Return the model of a checkpoint or exported file, ready to predict, with averaged weights if the run kept an average.

    overrides: of its config, e.g. another data folder. Raises UserError.
    """
    session, state = exported.unseal(path) if path.suffix == ONNX else (None, _read(path))
    try:
        raw = changing.from_values(state["config"], str(path), overrides)
        spec = DataSpec.from_json(state["spec"])
        weights = {} if session is not None else state.get("ema") or state["model"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: is no checkpoint of this project (it lacks {error})") from None
    experiment = check(raw)
    if session is not None:
        ran: ExportedModel = (
            ExportedModel(session, state, path)
            if state["decoded"]
            else UndecodedModel(session, state, path, build_model(experiment, spec, fresh=False))
        )
        return Loaded(path, experiment, state, spec, ran.to(device).eval(), files.sha256(path))
    model = build_model(experiment, spec, fresh=False)
    load_weights(model, weights, path, partial="exported" in state)
    layout = torch.channels_last if experiment.config.trainer.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout).eval()  # type: ignore[call-overload]
    return Loaded(path, experiment, state, spec, model, files.sha256(path))


def _read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's state, checked against its folder's manifest if the manifest lists the file."""
    if path.suffix == PROGRAM:
        raise UserError(
            f"{path}: is an exported program, which torch unpickles, so that loading it may execute anything; it is for programs "
            "of your own: give the checkpoint, or an export as onnx or torch"
        )
    return checkpoint.load(path, checkpoint.CheckpointFolder(path.parent).digests(path.name))


def load_weights(model: BaseModel, weights: Mapping[str, Any], path: Path, partial: bool = False) -> None:
    """Load weights into a model. partial: the weights for predicting are enough. Raises UserError if the weights do not fit."""
    own = model.state_dict()
    rest = {name: own[name] for name in training_only_names(model) if name not in weights} if partial else {}
    try:
        model.load_state_dict({**rest, **weights})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: holds the weights of another model ({reason})") from None


def training_only_names(model: BaseModel) -> set[str]:
    """Return the names of the weights and buffers that predicting does not need."""
    left_out = {id(tensor) for part in model.training_only() for tensor in part.state_dict(keep_vars=True).values()}
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in left_out}
