"""The predictors of saved checkpoints, groups of runs and ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from base.base_data_loader import BaseDataLoader
from base.saved.door import Ensemble, FoldGroup, Run, Saved, model_file
from base.saved.ensemble import ADVICE
from base.saved.group import Group
from trainer.evaluation.predictor import Checkpoint, FoldModels, FusedPredictor, Place, Predictor
from trainer.experiment import build, checking, loading
from utils import files
from utils.config import Overrides
from utils.errors import UserError


class Shelf:
    """Everything that one command predicts with; one loader for all checkpoints that read alike.

    overrides: of every config. verbosity: 2 for progress bars.
    """

    def __init__(self, device: torch.device, overrides: Overrides = (), verbosity: int = 0) -> None:
        self.device, self.overrides, self.verbosity = device, tuple(overrides), verbosity
        self._loaders: dict[str, BaseDataLoader] = {}

    def open(self, several: Sequence[Saved]) -> Predictor:
        """Return one predictor for all saved things together. Raises UserError if their predictions cannot be fused."""
        opened = list(map(self._predictor, several))
        predictor = opened[0] if len(opened) == 1 else FusedPredictor(opened)
        _require_compatible(predictor.checkpoints)
        return predictor

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *details: object) -> None:
        """Stop the processes that the loaders started."""
        for loader in self._loaders.values():
            loader.close()

    def _predictor(self, saved: Saved) -> Predictor:
        match saved:
            case FoldGroup():
                return self._folds(saved.record)
            case Ensemble():
                return self._ensemble(saved)
            case _:
                return self.checkpoint(model_file(saved))

    def checkpoint(self, path: Path) -> Checkpoint:
        """Return the model of a checkpoint, or of an exported file, with its loader."""
        loaded = loading.load_model(path, self.device, self.overrides)
        key = files.hash_json([loaded.experiment.raw.values["data_loader"], loaded.spec.classes])
        if key not in self._loaders:
            self._loaders[key] = build.build_loader(loaded.experiment, self.device, loaded.spec)
        return Checkpoint(loaded, self._loaders[key], self.device, self.verbosity)

    def _folds(self, group: Group) -> FoldModels:
        """Return the models of the last run of every finished fold."""
        models: dict[int, Checkpoint] = {}
        number = 0
        for name in filter(group.finished, group.finals().values()):
            model = self.checkpoint(Run(group.required_run(name)).checkpoint)
            if model.folds is None:
                raise UserError(f"{group.folder}: {name}: the config of its run has no folds; join the folds anew")
            models[model.folds.fold], number = model, model.folds.number
        if not models:
            raise UserError(f"{group.folder}: none of its folds is finished; train it first")
        return FoldModels(group.folder, models, [fold for fold in range(number) if fold not in models])

    def _ensemble(self, ensemble: Ensemble) -> FusedPredictor:
        members = []
        for saved, share in zip(ensemble.members, ensemble.record.shares, strict=True):
            member = self._predictor(saved)
            if share.checkpoints != hashes(member):
                raise UserError(f"{saved.path}: is not what its weight in {ensemble.path} was fitted for; {ADVICE}")
            members.append(member)
        weights = [share.weight for share in ensemble.record.shares]
        return FusedPredictor(members, weights, Place(ensemble.path, ensemble.record.fitted))


def hashes(predictor: Predictor) -> list[str]:
    """Return the SHA-256 of the weights of every checkpoint."""
    return [one.weights_hash for one in predictor.checkpoints]


def _require_compatible(models: Sequence[Checkpoint]) -> None:
    """Raise UserError if two configs declare different classes under one label, or have no label in common."""
    first = _classes(models[0])
    for other in models[1:]:
        classes = _classes(other)
        shared = first.keys() & classes.keys()
        if any(first[label] != classes[label] for label in shared) or (first and classes and not shared):
            raise UserError(f"{other.path}: has other classes than {models[0].path}; their predictions cannot be averaged")


def _classes(model: Checkpoint) -> dict[str, list[str]]:
    """Return label -> its classes. If a config takes the classes from the data, they are the classes of the checkpoint."""
    declared = checking.declared_spec(model.loaded.experiment.config).classes
    return {label: names or model.loaded.spec.classes[label] for label, names in declared.items()}
