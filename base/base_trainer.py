"""The loop: epochs, resuming, stopping, saving. It knows neither the task nor how a step is made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from base.base_callback import BaseCallback
from base.base_data_loader import BaseDataLoader
from base.contracts import Batch, Given, Points
from base.meter import Meter
from base.monitor import Monitor, unknown_score
from base.registry import Registry
from base.saved.run_folder import RunFolder
from base.settings import TrainerSettings
from utils import distributed, seed
from utils.checkpoint_names import BEST, LAST, epoch_name
from utils.device import to_device
from utils.errors import RunError, UserError
from utils.files import WriteError
from utils.signals import StopRequest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Stateful(Protocol):
    """Anything whose state belongs in a checkpoint."""

    def state_dict(self) -> Any:
        """Tensors and plain values."""

    def load_state_dict(self, state: Any) -> Any:
        """What `state_dict` gave."""


@dataclass
class Progress:
    """Where a run stands: the batch of the epoch that comes next, and the steps made so far, all counted from 0.

    With the config this is all that is needed to go on: order, augmentation and dropout are functions of it.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0


class StopTraining(Exception):
    """Somebody asked for a stop, and everything is saved."""


@dataclass(frozen=True)
class Loop(Given):
    """What every trainer works with, whatever it trains.

    loader: the data. folder: where checkpoints go. callbacks: called at the hooks of the loop. seed: of the run. metadata:
    plain values stored in every checkpoint (config, hashes, data spec).
    """

    loader: BaseDataLoader
    folder: RunFolder
    callbacks: Sequence[BaseCallback] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class BaseTrainer(ABC):
    """Runs epochs until they are done, the score no longer improves, or somebody asks for a stop.

        fit
        └─ for each epoch
           ├─ train_epoch   for each batch: seed, train_step, meter, callbacks, stop?
           ├─ score         seed, evaluate: scores by name
           └─ conclude      monitor, end_epoch, callbacks, save

    Subclasses define `train_step`, and differ by procedure only, never by data.
    """

    def __init__(self, settings: TrainerSettings, loop: Loop) -> None:
        self.settings = settings
        self.run_seed = loop.seed
        self.loader = loop.loader
        self.folder = loop.folder
        self.device = loop.device
        self.metadata = dict(loop.metadata)
        self.progress = Progress()
        self.meter = Meter()
        self.monitor = Monitor(settings.monitor, settings.early_stop)
        self.scores: dict[str, float | None] = {}  # of the last epoch
        self.scored_at = -1  # the step whose weights they belong to
        self.batches = self.loader.order(0)
        self.stop = StopRequest()
        self.callbacks = [c for c in loop.callbacks if distributed.is_main() or not c.main_only]
        keys = [callback.state_key for callback in loop.callbacks]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise UserError(f"callbacks: {', '.join(sorted(twice))} is there more than once")

    # What subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Make one step with a batch that is on the device.

        Returns detached scalars () by name, means over the global batch; does not wait for the device.
        """

    def evaluate(self) -> dict[str, float]:
        """Scores on the validation samples, by name; every process gets the same. None by default."""
        return {}

    def end_epoch(self, scores: Mapping[str, float]) -> None:
        """Called after each epoch with its scores, for what moves once an epoch."""

    def verify(self) -> None:
        """Raise RunError where a value that the device still held turns out not to be finite. May wait for it."""

    def stateful(self) -> dict[str, Stateful]:
        """What a checkpoint holds beside the loop's own state, by name."""
        return {}

    def rehearse(self) -> None:
        """Raise UserError for what would fail at the first validation only. Nothing by default."""

    def growth(self) -> int:
        """Bytes by which later checkpoints will be larger than one of now: what the optimiser has yet to allocate."""
        return 0

    def fitted(self) -> dict[str, Any]:
        """What was fitted on the validation samples, as plain values by metric."""
        return {}

    def learning_rates(self) -> dict[str, float]:
        """By parameter group, for the logs."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Plots of the last validation, for the logs of the main process."""
        return {}

    def points(self) -> dict[str, Points]:
        """Vectors of the last validation to look at in a projection, for the logs of the main process."""
        return {}

    # The loop -----------------------------------------------------------------------------------------------------

    def fit(self) -> int:
        """Train to the end; returns the exit status: 0, or 75 / 130 after a signal, when the same command continues."""
        with self.stop:
            try:
                reason = self._fit()
            except BaseException as error:
                cause = distributed.explained(error)
                with suppress(WriteError):  # a full disk is no reason to hide why the run ended
                    self._end(f"{type(cause).__name__}: {cause}")
                raise
            self._end(reason)
        return 0 if self.done else self.stop.exit_status

    def _fit(self) -> str:
        """The loop; why it ended."""
        try:
            self._begin()
            while not self.done:
                self.train_epoch()
                self.conclude(self.score())
        except StopTraining:
            return self.stop.received.name if self.stop.received else "stopped"
        return "early stop" if self.progress.epoch < self.settings.epochs else "finished"

    @property
    def done(self) -> bool:
        """Whether no epoch is left to train."""
        return self.progress.epoch >= self.settings.epochs or self.monitor.exhausted

    def train_epoch(self) -> None:
        """The batches of the current epoch that are still to come."""
        progress = self.progress
        self.batches = self.loader.order(progress.epoch)
        for callback in self.callbacks:
            callback.on_epoch_start(self)
        for batch in self.loader.train(progress.epoch, progress.batch):
            samples = len(self.batches[progress.batch])
            seed.seed_everything(self.run_seed, "step", progress.step, distributed.rank())
            losses = self.train_step(to_device(batch, self.device))
            self.meter.update(losses, samples)
            progress.batch += 1
            progress.step += 1
            for callback in self.callbacks:
                callback.on_step(self, losses)
            if progress.step % self.settings.log_every == 0:
                self.verify()  # the logs have just waited for the device
            self.poll()
            if self.settings.save_steps and progress.step % self.settings.save_steps == 0:
                self.save([LAST])
        self.verify()

    def score(self) -> dict[str, float]:
        """Scores of the epoch, by name; none where it is not validated."""
        epoch = self.progress.epoch + 1
        if epoch % self.settings.validate_every and epoch != self.settings.epochs:
            return {}
        seed.seed_everything(self.run_seed, "validation", epoch)  # so that a run resumed here scores as if it never stopped
        return self.evaluate()

    def conclude(self, scores: Mapping[str, float]) -> None:
        """Everything that follows the last step of an epoch and its validation."""
        log = {**{f"train/{name}": mean for name, mean in self.meter.means().items()}, **scores}
        if scores and self.monitor.mode != "off" and self.monitor.name not in log:
            raise RunError(f"trainer.monitor: {unknown_score(self.monitor.name, log)}; no sample may have what it compares with")
        improved = self.monitor.update(log, self.progress.epoch)
        self.end_epoch(log)
        for callback in self.callbacks:
            callback.on_epoch_end(self, log, improved)
        self.scores = {name: value if math.isfinite(value) else None for name, value in log.items()}
        self.scored_at = self.progress.step
        self.progress.epoch += 1
        self.progress.batch = 0
        self.meter.reset()
        kept = [epoch_name(self.progress.epoch)] if self.progress.epoch % self.settings.save_period == 0 else []
        # `last` comes last: a run that is killed in between goes on from the old one, and writes the others again.
        self.save([*([BEST] if improved else []), *kept, LAST])

    def poll(self) -> None:
        """Where some process was asked to stop: save, and leave the loop. Every process must call it."""
        if distributed.any_rank(self.stop.received is not None):
            self.save([LAST])
            raise StopTraining

    def _begin(self) -> None:
        """What a later save would fail at fails now."""
        self.folder.set_status("running")
        if self.progress.step == 0 or not distributed.on_main((self.folder.models / LAST).exists):
            self.save([LAST])
        distributed.on_main(lambda: self.folder.checkpoints.require_space(self.settings.keep + 2, self.growth()))
        self.rehearse()
        for callback in self.callbacks:
            callback.on_fit_start(self)

    def _end(self, reason: str) -> None:
        """Every part gets to end, whatever became of another."""
        with ExitStack() as endings:
            for callback in reversed(self.callbacks):
                endings.callback(callback.on_fit_end, self, reason)
            endings.callback(self.folder.set_status, reason)
            endings.callback(self.loader.close)

    # Checkpoints --------------------------------------------------------------------------------------------------

    def save(self, names: Sequence[str]) -> None:
        """Write the state of this moment under the given names. Every process must call it."""
        self.verify()
        state = self.state_dict()
        if distributed.is_main():
            self.folder.checkpoints.save(state, names)
            self.folder.checkpoints.prune(self.settings.keep)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` continues exactly here."""
        return {
            **self.metadata,
            "progress": asdict(self.progress),
            "meter": self.meter.state_dict(),
            "monitor": self.monitor.state_dict(),
            "callbacks": {callback.state_key: callback.state_dict() for callback in self.callbacks},
            "scores": self.scores if self.scored_at == self.progress.step else {},
            "fitted": self.fitted(),
            **{name: part.state_dict() for name, part in self.stateful().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was saved."""
        self.progress = Progress(**state["progress"])
        self.meter.load_state_dict(state["meter"], self.device)
        self.monitor.load_state_dict(state["monitor"])
        for callback in self.callbacks:
            callback.load_state_dict(state["callbacks"].get(callback.state_key, {}))
        for name, part in self.stateful().items():
            part.load_state_dict(state[name])
        self.scores, self.scored_at = dict(state["scores"]), self.progress.step
        self.metadata["parents"] = state["parents"]


TRAINERS: Registry[BaseTrainer] = Registry("trainer", BaseTrainer, flat=True)
