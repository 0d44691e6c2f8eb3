"""From the paths that a command line names to what predicts: checkpoints, groups of runs, ensembles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from base.base_data_loader import BaseDataLoader
from base.run_folder import ENSEMBLE, FOLDS, GROUP
from trainer.evaluation.predictor import Checkpoint, FoldModels, Place, Predictor, Several
from trainer.experiment import build
from trainer.experiment.group import Group
from utils import files
from utils.errors import UserError


class Shelf:
    """Everything that one command predicts with; one loader for all checkpoints that read alike.

    overrides: `a.b.c=VALUE` changes of every config. verbosity: 2 for progress bars.
    """

    def __init__(self, device: torch.device, overrides: Sequence[str] = (), verbosity: int = 0) -> None:
        self.device, self.overrides, self.verbosity = device, tuple(overrides), verbosity
        self._loaders: dict[str, BaseDataLoader] = {}

    def open(self, paths: Sequence[Path]) -> Predictor:
        """One thing of all paths. Raises UserError where they cannot be one."""
        opened = [self._open(path) for path in paths]
        found = opened[0] if len(opened) == 1 else Several(opened)
        _require_compatible(found.checkpoints)
        return found

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *details: object) -> None:
        """Stop what the loaders started."""
        for loader in self._loaders.values():
            loader.close()

    def _open(self, path: Path) -> Predictor:
        if (path / ENSEMBLE).exists():
            return self._ensemble(path)
        if not (path / GROUP).exists():
            return self.checkpoint(path)
        group = Group(path)
        return self._folds(group) if group.kind == FOLDS else self.checkpoint(group.required_run(list(group.members)[-1]))

    def checkpoint(self, path: Path) -> Checkpoint:
        """A checkpoint's file, or the best, else the last, of a run's folder."""
        loaded = build.load_model(path, self.device, self.overrides)
        key = files.hash_json(loaded.experiment.raw.values["data_loader"])
        if key not in self._loaders:
            self._loaders[key] = build.build_loader(loaded.experiment, self.device)
        return Checkpoint(loaded, self._loaders[key], self.device, self.verbosity)

    def _folds(self, group: Group) -> FoldModels:
        """The last run of every fold that is finished."""
        found: dict[int, Checkpoint] = {}
        for name in group.finals():
            if not group.finished(name):
                continue
            model = self.checkpoint(group.required_run(name))
            assert model.folds is not None, "a member of such a group"
            found[model.folds.fold] = model
        if not found:
            raise UserError(f"{group.folder}: none of its folds is finished; train it first")
        folds = next(iter(found.values())).folds
        assert folds is not None
        return FoldModels(group.folder, found, [fold for fold in range(folds.number) if fold not in found])

    def _ensemble(self, folder: Path) -> Several:
        content = read_ensemble(folder)
        members = []
        for entry in content["members"]:
            member = self._open(folder / entry["path"])
            if entry["checkpoints"] != hashes(member):
                changed = f"{folder / entry['path']}: is not what its weight in {folder} was fitted for"
                raise UserError(f"{changed}; fit it again with python -m trainer.evaluation.ensemble")
            members.append(member)
        weights = [float(entry["weight"]) for entry in content["members"]]
        return Several(members, weights, Place(folder, content["fitted"]))


def read_ensemble(folder: Path) -> dict[str, Any]:
    """What `trainer.evaluation.ensemble` wrote. Raises UserError where it is damaged."""
    path = folder / ENSEMBLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = all(isinstance(entry[key], kind) for entry in content["members"] for key, kind in _ENTRY.items())
        if whole and content["members"] and isinstance(content["fitted"], dict):
            return dict(content)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{path}: is no ensemble, or damaged; fit it again with python -m trainer.evaluation.ensemble")


_ENTRY: Mapping[str, Any] = {"path": str, "weight": (int, float), "checkpoints": list}


def hashes(predictor: Predictor) -> list[str]:
    """SHA-256 of the weights of every checkpoint."""
    return [one.weights_hash for one in predictor.checkpoints]


def _require_compatible(models: Sequence[Checkpoint]) -> None:
    """Raise UserError where two configs declare different classes under one label, or have no label in common."""
    first = build.declared_spec(models[0].loaded.experiment.config).classes
    for other in models[1:]:
        found = build.declared_spec(other.loaded.experiment.config).classes
        shared = first.keys() & found.keys()
        if any(first[label] != found[label] for label in shared) or (first and found and not shared):
            raise UserError(f"{other.path}: has other classes than {models[0].path}; their predictions cannot be averaged")
