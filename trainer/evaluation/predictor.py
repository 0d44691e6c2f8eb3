"""The predictors: a checkpoint, the folds of a group, or several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.base_data_loader import BaseDataLoader, Folds
from base.base_loss import BaseLoss
from base.evaluation import read_header
from base.predictions import Predictions, not_finite
from base.saved.door import is_evaluation
from base.saved.names import OUT_OF_FOLD
from base.saved.run_folder import RunFolder
from base.table import SampleTable, some
from trainer.evaluation.truth import Truths, require_same_truth, truths_of
from trainer.experiment import build, checking
from trainer.experiment.loading import Loaded
from trainer.training.predict import Inference, predict
from utils import files
from utils.checkpoint import weights_hash
from utils.errors import UserError


class Predictor(ABC):
    """A source of predictions for a split. The first checkpoint's config says how predictions are fused and scored."""

    @property
    @abstractmethod
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints that take part, in order."""

    @abstractmethod
    def table(self, split: str) -> SampleTable:
        """Return the samples that `predict` predicts, in order of id."""

    @abstractmethod
    def predict(self, split: str, precision: str | None = None) -> Predictions:
        """Return predictions with a row for each sample of the table. precision: replaces that of the config."""

    @abstractmethod
    def folder(self, split: str) -> Path:
        """Return the folder in which the predictions of a split are kept."""

    @abstractmethod
    def picture(self, split: str, row: int) -> np.ndarray:
        """Return a sample's picture in the pixels of the predictions, (h, w, 3) uint8 RGB."""

    @abstractmethod
    def require_held_out(self) -> None:
        """Raise UserError if a checkpoint may have been trained on its validation samples."""

    def require_whole(self) -> None:
        """Raise UserError if samples are missing from the validation."""

    def require_same_answers(self, split: str) -> None:
        """Raise UserError if two of the checkpoints have different labels for one sample of a labelled split."""

    def truths(self, table: SampleTable, metrics: Sequence[Any], labels: Collection[str]) -> Truths:
        """Return the answers of the scores of a config's `metrics` on a table of this predictor. labels: that are scored."""
        spec = self.first.loaded.spec.only(labels)
        return truths_of(build.metrics_of(metrics, spec), table, spec)

    def stored(self, split: str) -> dict[str, Any]:
        """Return metric -> stored values that were fitted on validation; empty if the values must be fitted again."""
        return {}

    def origin(self, split: str) -> dict[str, Any]:
        """Return the origin of the predictions, for their manifest."""
        return {
            "checkpoints": [one.description for one in self.checkpoints],
            "config_hash": self.first.loaded.experiment.hash,
            "split_hash": self.first.loaded.state["split_hash"],
        }

    @property
    def first(self) -> Checkpoint:
        """The first checkpoint, whose config counts."""
        return self.checkpoints[0]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of the first checkpoint's config."""
        return list(self.first.loaded.experiment.raw.values.get("metrics", []))

    @property
    def resampled(self) -> bool:
        """True if intervals of the validation's scores are to be computed."""
        return False


class Checkpoint(Predictor):
    """One model, and a loader with the preprocessing of its training."""

    def __init__(self, loaded: Loaded, loader: BaseDataLoader, device: torch.device, verbosity: int = 0) -> None:
        self.loaded, self.loader, self.device, self.verbosity = loaded, loader, device, verbosity

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [self]

    @property
    def path(self) -> Path:
        """The checkpoint's file."""
        return self.loaded.path

    @property
    def inference(self) -> Inference:
        """The inference settings of the checkpoint's config."""
        return build.build_inference(self.loaded.experiment, self.loaded.spec)

    @property
    def folds(self) -> Folds | None:
        """The folds of the checkpoint's config."""
        return checking.declared_folds(self.loaded.experiment.config)

    @property
    def description(self) -> dict[str, Any]:
        """The description of the checkpoint for a manifest."""
        return {"path": str(self.path), "sha256": self.loaded.digest, "run": self.path.parent.name}

    @property
    def changed_data(self) -> list[str]:
        """The config keys of data (annotations, corrections, crops) that have changed since the checkpoint was trained."""
        now = self.loader.fingerprint()
        stored = self.loaded.state.get("fingerprint") or now  # older checkpoints have none
        return sorted(key for key in stored.keys() | now.keys() if stored.get(key) != now.get(key))

    @cached_property
    def weights_hash(self) -> str:
        """The SHA-256 of the weights that predict; unlike that of the file it does not depend on the run's folder."""
        if self.loaded.exported:
            return self.loaded.digest
        return weights_hash(self.loaded.state.get("ema") or self.loaded.state["model"])

    def table(self, split: str) -> SampleTable:
        return self.loader.table(split)

    def predict(self, split: str, precision: str | None = None) -> Predictions:
        return self._run(split, self.loader, precision)[0]

    def predict_from(self, loader: BaseDataLoader, split: str, precision: str | None = None) -> Predictions:
        """Return predictions for the samples of another loader, which must have the same preprocessing."""
        return self._run(split, loader, precision)[0]

    def evaluate(self, split: str) -> tuple[Predictions, dict[str, float]]:
        """Return predictions, and the losses over the samples if these have targets."""
        loss = self._loss() if self.loader.labelled(split) and not self.loaded.exported else None
        return self._run(split, self.loader, loss=loss)

    def _run(
        self, split: str, loader: BaseDataLoader, precision: str | None = None, loss: BaseLoss | None = None
    ) -> tuple[Predictions, dict[str, float]]:
        inference = self.inference if precision is None else replace(self.inference, precision=precision)
        bar = _Bar(f"{self.path.parent.name}/{self.path.name}", self.verbosity)
        with build.deterministic(self.loaded.experiment.config.trainer.deterministic), bar as progress:
            predictions, losses = predict(self.loaded.model, loader, split, self.device, inference, loss, progress)
        assert predictions is not None, "one process predicts"
        predictions.require_ids(loader.table(split))
        return predictions, losses

    def _loss(self) -> BaseLoss:
        loss = build.build_loss(self.loaded.experiment, self.loaded.spec, self.loaded.model)
        loss.load_state_dict(self.loaded.state["loss"])
        return loss.to(self.device)

    def folder(self, split: str) -> Path:
        return RunFolder.at(self.path.parent).log / f"{split}-{self.path.stem}"

    def picture(self, split: str, row: int) -> np.ndarray:
        return self.loader.picture(split, row)

    def require_held_out(self) -> None:
        stored, now = self.loaded.state["split_hash"], self.loader.split_hash
        if stored != now:
            raise UserError(
                f"{self.path}: was trained on another split ({stored[:8]}) than the validation samples here "
                f"({now[:8]}), so it may have been trained on some of them; use --split test, or the same data"
            )

    def stored(self, split: str) -> dict[str, Any]:
        return self.loaded.fitted


class FoldModels(Predictor):
    """The models of a group's folds. Validation: each model predicts the samples it held out. Test: all models together.

    place: the group's folder. missing: folds whose training is not finished.
    """

    def __init__(self, place: Path, models: Mapping[int, Checkpoint], missing: Sequence[int]) -> None:
        self.place, self.models, self.missing = place, dict(sorted(models.items())), list(missing)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return list(self.models.values())

    @cached_property
    def _valid(self) -> SampleTable:
        return SampleTable.of_folds({fold: model.table("valid") for fold, model in self.models.items()})

    def table(self, split: str) -> SampleTable:
        return self._valid if split == "valid" else self.first.table(split)

    def predict(self, split: str, precision: str | None = None) -> Predictions:
        if split == "valid":
            each = []
            for model in self.checkpoints:
                each.append(model.predict(split, precision))
                model.loader.close()  # its worker processes: there is one loader for each fold
            predictions = Predictions.concatenate(each)
            predictions.require_ids(self._valid)
            return predictions
        return fused(self.first, [model.predict_from(self.first.loader, split, precision) for model in self.checkpoints])

    def folder(self, split: str) -> Path:
        return RunFolder.at(self.place).log / (OUT_OF_FOLD if split == "valid" else split)

    def picture(self, split: str, row: int) -> np.ndarray:
        if split != "valid":
            return self.first.picture(split, row)
        model = self.models[int(self._valid.values("fold", row))]
        return model.picture(split, model.table(split).ids().index(self._valid.id(row)))

    def require_held_out(self) -> None:
        for model in self.checkpoints:
            model.require_held_out()

    def require_whole(self) -> None:
        """Raise UserError if a sample that a fold was trained on is not held out by another fold.

        No sample can be held out twice: the table refuses that.
        """
        if self.missing:
            folds = some(map(str, self.missing), 20)
            raise UserError(f"{self.place}: fold {folds} is not finished; train it first, or use --split test")
        held_out = set(self._valid.ids())
        lost = sorted({name for model in self.checkpoints for name in model.table("train").ids()} - held_out)
        if lost:
            raise UserError(f"{self.place}: {len(lost)} training samples are held out in no fold ({some(lost)}); train anew")

    def require_same_answers(self, split: str) -> None:
        """Raise UserError if a fold was trained on another label of a sample than the one that the sample is scored with."""
        if split != "valid":
            return  # all folds predict the samples of the first one
        labels = self.first.loaded.spec.classes
        scored = self.truths(self._valid, self.metrics, labels)
        for model in self.checkpoints:
            trained = model.truths(model.table("train"), self.metrics, labels)
            require_same_truth(
                self.place, scored, model.path, trained, "folds need the same labels: correct them alike, train anew"
            )

    def stored(self, split: str) -> dict[str, Any]:
        folder = self.folder("valid")
        if split == "valid" or not is_evaluation(folder):
            return {}
        _, manifest = read_header(folder)
        return manifest.fitted if manifest.checkpoints == self.origin("valid")["checkpoints"] else {}

    def origin(self, split: str) -> dict[str, Any]:
        """Return the origin; for out-of-fold predictions without time and place, so that its bytes are always the same."""
        if split != "valid":
            return super().origin(split)
        hashes = {fold: model.loaded.state["split_hash"] for fold, model in self.models.items()}
        return {
            "checkpoints": [{"fold": fold, "weights": model.weights_hash} for fold, model in self.models.items()],
            "split_hash": files.hash_lines(f"{fold} {value}" for fold, value in hashes.items()),
        }

    @property
    def resampled(self) -> bool:
        return True


@dataclass(frozen=True)
class Place:
    """The folder of an ensemble, and its fitted values."""

    folder: Path
    fitted: dict[str, Any]


class FusedPredictor(Predictor):
    """Fuse the predictions of several predictors for the same samples.

    place: folder and fitted values of an ensemble; None if its weights are not fitted.
    """

    def __init__(self, members: Sequence[Predictor], weights: Sequence[float] | None = None, place: Place | None = None) -> None:
        self.members, self.weights, self.place = list(members), weights, place

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [checkpoint for member in self.members for checkpoint in member.checkpoints]

    def table(self, split: str) -> SampleTable:
        return self.members[0].table(split)

    def predict(self, split: str, precision: str | None = None) -> Predictions:
        several = [member.predict(split, precision) for member in self.members]
        predictions = fused(self.first, several, self.weights)
        if rest := sorted({name for one in several for name in one.names} - set(predictions.names)):
            print(f"left out, since not all predict it: {some(rest)}")
        return predictions

    def folder(self, split: str) -> Path:
        if self.place is not None:
            return self.place.folder / (OUT_OF_FOLD if split == "valid" else split)
        own = self.members[0].folder(split)
        return own.with_name(f"{own.name}-and-{len(self.members) - 1}-more")

    def picture(self, split: str, row: int) -> np.ndarray:
        return self.members[0].picture(split, row)

    def require_held_out(self) -> None:
        for member in self.members:
            member.require_held_out()
        ids = self.table("valid").ids()
        for member in self.members[1:]:
            if member.table("valid").ids() != ids:
                names = f"{self.first.path} and {member.first.path}"
                raise UserError(f"{names}: were validated on different samples; predict another split, or take runs of one split")

    def require_whole(self) -> None:
        for member in self.members:
            member.require_whole()

    def require_same_answers(self, split: str) -> None:
        """Raise UserError if a member's labels of the samples are not those of the first member, on which all are scored."""
        labels = self.first.loaded.spec.classes
        scored = self.truths(self.table(split), self.metrics, labels)
        for member in self.members:
            member.require_same_answers(split)
            knows = member.first.loader.labelled(split) and not labels.keys() - member.first.loaded.spec.classes.keys()
            if member is not self.members[0] and knows:
                its = member.truths(member.table(split), self.metrics, labels)
                advice = "members are scored on one table: give all configs the same corrections, or leave one out"
                require_same_truth(self.first.path, scored, member.first.path, its, advice)

    def stored(self, split: str) -> dict[str, Any]:
        return self.place.fitted if self.place is not None else {}

    def origin(self, split: str) -> dict[str, Any]:
        weights = {} if self.weights is None else {"weights": list(self.weights)}
        return {**super().origin(split), **weights}

    @property
    def resampled(self) -> bool:
        return any(member.resampled for member in self.members)


def fused(first: Checkpoint, several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """Return several predictions fused into one, by the first checkpoint's config, with the columns that all of them have.

    Raises UserError if a value is not finite, or if some predictions lack a label that the first checkpoint predicts.
    """
    names = [name for name in several[0].names if all(name in other.names for other in several)]
    needed = [label for label in first.loaded.spec.classes if label in several[0].names]
    lacking = [name for name in needed or several[0].names[:1] if name not in names]
    if lacking:
        raise UserError(f'{first.path}: predicts "{lacking[0]}", which others do not; their predictions cannot be fused')
    for predictions in several if len(several) > 1 else ():
        if bad := not_finite(predictions):
            raise UserError(f"predictions of {some(bad)} are not finite and cannot be fused; leave out what made them")
    return first.inference.fuse([predictions.only(names) for predictions in several], weights)


class _Bar:
    """A progress bar over batches, as a context that gives predict's callback."""

    def __init__(self, label: str, verbosity: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(desc=label, leave=False, disable=verbosity < 2, mininterval=0.2)

    def __enter__(self) -> Callable[[int, int], None]:
        return self._move

    def _move(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update()

    def __exit__(self, *details: object) -> None:
        self.bar.close()
