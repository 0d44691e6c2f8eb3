"""Training on samples without labels, with the model's own predictions as labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from base.base_trainer import TRAINERS, Loop, Stateful
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabelled, PseudoLabels
from base.settings import TrainerSettings
from base.types import Count, CountOrZero, NotAllShare, SomeShare
from logger.lines import say
from trainer.training.predict import predict
from trainer.training.supervised import Parts, SupervisedTrainer
from utils import distributed, files, seed
from utils.errors import UserError


class PseudoLabelSettings(TrainerSettings):
    """Keys of the trainer that labels samples itself."""

    labelled_epochs: CountOrZero = Field(
        description="epochs on the labelled samples alone, before the first round; 0 for a run that begins with trained weights"
    )
    round_epochs: Count = Field(description="epochs of a round; the next begins with labels chosen anew")
    split: str = Field(default="test", description="the samples without labels: test, or another split that the loader has")
    threshold: NotAllShare = Field(default=0.9, description="least confidence of a label")
    share: SomeShare = Field(default=1.0, description="of the samples predicted as a class, so many at most, the surest")
    weight: SomeShare = Field(default=1.0, description="of such a sample in the loss, where a labelled one has 1")

    @model_validator(mode="after")
    def _some_round(self) -> PseudoLabelSettings:
        if self.labelled_epochs >= self.epochs:
            raise ValueError("epochs above labelled_epochs, or there is no round")
        return self

    def shares(self) -> str | None:
        """Return `weight` unless adopted samples count whole."""
        return "weight" if self.weight != 1 else None

    def round(self, epoch: int) -> int:
        """Return the round of an epoch, counted from 0; 0 before the first round."""
        return max(0, (epoch - self.labelled_epochs) // self.round_epochs + 1)


class Chosen:
    """The labels of the current round: all that a checkpoint must know of it."""

    def __init__(self) -> None:
        self.round = 0
        self.pool = ""  # SHA-256 over the ids of the samples that were to be labelled
        self.labels = PseudoLabels.joined([])

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values."""
        return {"round": self.round, "pool": self.pool, **self.labels.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.round, self.pool, self.labels = state["round"], state["pool"], PseudoLabels.from_state(state)


@TRAINERS.register()
class PseudoLabelTrainer(SupervisedTrainer):
    """Train in rounds: predict samples without labels, take the surest answers as labels, go on with both (Lee 2013).

    The model that predicts is the one that is validated. Its weights, the optimiser and the schedule go on from round to round;
    `CosineAnnealingWarmRestarts` restarts the rate with each. Chosen samples are dealt to the batches of an epoch, which
    grow by them: an epoch has as many steps as without. Validation, class weights and the sampler see labelled samples alone.
    Each round's choice is written to the run's folder as `pseudo-labels-ROUND.csv`.
    """

    settings: PseudoLabelSettings

    def __init__(self, settings: PseudoLabelSettings, loop: Loop, parts: Parts) -> None:
        super().__init__(settings, loop, parts)
        self.chosen = Chosen()
        name = self.settings.split
        if not isinstance(self.loader, PseudoLabelled) or not self.loader.pools:
            raise UserError(
                f"trainer.split: {type(self.loader).__name__} has no samples to label; set data_loader.args.test_reader or "
                "unlabelled_reader, or take a loader that makes pseudo-labels"
            )
        if name not in self.loader.pools:
            raise UserError(f'trainer.split: found "{name}"; allowed, samples without labels: {", ".join(self.loader.pools)}')
        self.pool: PseudoLabelled = self.loader

    def train_epoch(self) -> None:
        """Train the batches of the epoch; in the first epoch of a round first choose the round's labels."""
        if self.progress.batch == 0 and self.settings.round(self.progress.epoch) > self.chosen.round:
            self._choose()
        super().train_epoch()

    def stateful(self) -> dict[str, Stateful]:
        """Return everything with a state, including the labels of the round."""
        return {**super().stateful(), "pseudo_labels": self.chosen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`. Raises UserError if the samples to label have changed."""
        super().load_state_dict(state)
        if not self.chosen.round:
            return
        if self.chosen.pool != self._pool():
            raise UserError(
                f"data_loader: the samples of {self.settings.split} are not those that the checkpoint has labels for; "
                "bring them back, or start a new run without -r"
            )
        self._adopt()

    def _choose(self) -> None:
        """Predict and choose labels. The result depends on the weights only, so that it is the same after a kill."""
        split, number = self.settings.split, self.settings.round(self.progress.epoch)
        seed.seed_everything(self.run_seed, "pseudo-labels", number)
        distributed.same_everywhere(self.evaluated.buffers())  # as in validation
        predictions, _ = predict(self.evaluated, self.loader, split, self.device, self.inference, on_batch=self._poll)
        labels = distributed.on_main(lambda: self._surest(predictions))
        self.chosen.round, self.chosen.pool, self.chosen.labels = number, self._pool(), labels
        self._adopt()
        if self.settings.verbosity > 0:
            samples, total = len(set(labels.rows.tolist())), len(self.loader.table(split))
            counts = [f"{name} {int((labels.labels == name).sum()):,}" for name in dict.fromkeys(labels.labels.tolist())]
            found = f"{samples:,} of {total:,} samples of {split} labelled ({', '.join(counts) or 'none was sure enough'})"
            say(f"round {number}, from epoch {self.progress.epoch + 1} on: {found}", *labels.notes)

    def _surest(self, predictions: Predictions | None) -> PseudoLabels:
        assert predictions is not None
        predictions.require_ids(self.loader.table(self.settings.split))
        proposed = self.pool.pseudo_labels(self.settings.split, predictions)
        return proposed.surest(self.settings.threshold, self.settings.share)

    def _adopt(self) -> None:
        """Write the chosen labels to a file, and train on them from now on."""
        split, labels = self.settings.split, self.chosen.labels
        if distributed.is_main():
            path = self.folder.models / f"pseudo-labels-{self.chosen.round}.csv"
            labels.write(path, self.loader.table(split), self.loader.spec)
        self.pool.adopt(split, labels, self.settings.weight)

    def _pool(self) -> str:
        return files.hash_lines(self.loader.table(self.settings.split).ids())

    def _poll(self, done: int, total: int) -> None:
        self.poll()
