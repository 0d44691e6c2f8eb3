"""The base class of trainers: the loop with resuming, stopping and saving; subclasses define the training step."""

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
from base.saved.run_folder import DONE, FRUITLESS, RunFolder
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
    """An object whose state belongs in a checkpoint."""

    def state_dict(self) -> Any:
        """Return the state as tensors and plain values."""

    def load_state_dict(self, state: Any) -> Any:
        """Restore the state that `state_dict` returned."""


@dataclass
class Progress:
    """The position of a run: the next batch of the current epoch, both counted from 0, and the number of steps made.

    A run can continue from the config and this position: order, augmentation and dropout are functions of them.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0


class StopTraining(Exception):
    """The signal to leave the loop: a stop was requested, and everything is saved."""


@dataclass(frozen=True)
class Loop(Given):
    """The objects that every trainer needs.

    loader: the data. folder: the folder for checkpoints. callbacks: called at the hooks of the loop. seed: the run's seed.
    metadata: plain values that every checkpoint holds (config, hashes, data spec).
    """

    loader: BaseDataLoader
    folder: RunFolder
    callbacks: Sequence[BaseCallback] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class BaseTrainer(ABC):
    """A trainer runs epochs until all are done, the score no longer improves, or a stop is requested.

        fit
        └─ for each epoch
           ├─ train_epoch   for each batch: seed, train_step, meter, callbacks, stop?
           ├─ score         seed, evaluate: scores by name
           └─ conclude      monitor, end_epoch, callbacks, save

    Subclasses define `train_step`. They differ by procedure only, never by data.
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
        self.scores: dict[str, float | None] = {}  # scores of the last epoch
        self.warnings: list[str] = []  # about the last epoch
        self.scored_at = -1  # the step whose weights the scores belong to
        self.batches = self.loader.order(0)
        self.stop = StopRequest()
        self.callbacks = [c for c in loop.callbacks if distributed.is_main() or not c.main_only]
        keys = [callback.state_key for callback in loop.callbacks]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise UserError(f"callbacks: {', '.join(sorted(twice))} is there more than once")

    # What subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Make one step with a batch that is on the device (image (B, 3, H, W) uint8); do not wait for the device.

        Returns name -> detached scalar () float, a mean over the global batch.
        """

    def evaluate(self) -> dict[str, float]:
        """Return name -> score on the validation samples, the same on every process; none by default."""
        return {}

    def end_epoch(self, scores: Mapping[str, float]) -> None:
        """Act after each epoch, with its scores by name, for example step a schedule. Does nothing by default."""

    def verify(self) -> None:
        """Raise RunError if a value that was only on the device is not finite. May wait for the device."""

    def stateful(self) -> dict[str, Stateful]:
        """Return name -> object whose state a checkpoint holds beside the loop's own state; none by default."""
        return {}

    def growth(self) -> int:
        """Return the bytes that later checkpoints have more than a present one, since the optimiser allocates its state later."""
        return 0

    def fitted(self) -> dict[str, Any]:
        """Return metric -> the values that it fitted on the validation samples, as plain values."""
        return {}

    def learning_rates(self) -> dict[str, float]:
        """Return parameter group -> learning rate, for the logs."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Return name -> figure of the last validation, for the logs of the main process."""
        return {}

    def points(self) -> dict[str, Points]:
        """Return name -> vectors (n, D) of the last validation for a projection, for the logs of the main process."""
        return {}

    def warn(self, line: str) -> None:
        """Have a warning about the epoch shown and logged at its end."""
        self.warnings.append(f"warning: {line}")

    @property
    def fruitless(self) -> bool:
        """True if training has learned nothing: no epoch is the best, because no score was a number."""
        return self.monitor.fruitless

    def doubts(self) -> list[str]:
        """Return a line for each reason to doubt the result, to be shown at the end of training."""
        return self.monitor.doubts()

    # The loop -----------------------------------------------------------------------------------------------------

    def fit(self) -> int:
        """Train to the end; return the exit status.

        0: trained. 1: trained to the end, and nothing was learned. 75 or 130: a signal; the same command then continues.
        """
        with self.stop:
            try:
                reason = self._fit()
            except BaseException as error:
                cause = distributed.explained(error)
                with suppress(WriteError):  # a full disk must not hide the reason for the end
                    self._end(f"{type(cause).__name__}: {cause}")
                raise
            self._end(reason)
        return int(self.fruitless) if self.done else self.stop.exit_status

    def _fit(self) -> str:
        """Run the loop; return the reason for its end."""
        try:
            self._begin()
            while not self.done:
                self.train_epoch()
                self.conclude(self.score())
        except StopTraining:
            return self.stop.received.name if self.stop.received else "stopped"
        if self.fruitless:
            return FRUITLESS
        return "early stop" if self.progress.epoch < self.settings.epochs else DONE

    @property
    def done(self) -> bool:
        """True if no epoch is left to train."""
        return self.progress.epoch >= self.settings.epochs or self.monitor.exhausted

    def train_epoch(self) -> None:
        """Train on the remaining batches of the current epoch."""
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
        """Return name -> score of the epoch; none if the epoch is not validated."""
        epoch = self.progress.epoch + 1
        if epoch % self.settings.validate_every and epoch != self.settings.epochs:
            return {}
        seed.seed_everything(self.run_seed, "validation", epoch)  # so that a run that is resumed here gets the same scores
        return self.evaluate()

    def conclude(self, scores: Mapping[str, float]) -> None:
        """Log, compare and save at the end of an epoch, after its validation.

        Raises RunError if the monitored score was not computed.
        """
        log = {**{f"train/{name}": mean for name, mean in self.meter.means().items()}, **scores}
        if scores and self.monitor.mode != "off" and self.monitor.name not in log:
            raise RunError(f"trainer.monitor: {unknown_score(self.monitor.name, log)}; no sample may have what it compares with")
        improved = self.monitor.update(log, self.progress.epoch)
        self.warnings = []
        self.end_epoch(log)
        for callback in self.callbacks:
            callback.on_epoch_end(self, log, improved)
        self.scores = {name: value if math.isfinite(value) else None for name, value in log.items()}
        self.scored_at = self.progress.step
        self.progress.epoch += 1
        self.progress.batch = 0
        self.meter.reset()
        kept = [epoch_name(self.progress.epoch)] if self.progress.epoch % self.settings.save_period == 0 else []
        # `last` is written last: a run that is killed in between continues from the old one and writes the others again.
        self.save([*([BEST] if improved else []), *kept, LAST])

    def poll(self) -> None:
        """Save and leave the loop if any process was asked to stop. Every process must call it."""
        if distributed.any_rank(self.stop.received is not None):
            self.save([LAST])
            raise StopTraining

    def _begin(self) -> None:
        """Save and check at the start, so that problems of a later save appear now."""
        self.folder.set_status("running")
        if self.progress.step == 0 or not distributed.on_main((self.folder.models / LAST).exists):
            self.save([LAST])
        distributed.on_main(lambda: self.folder.checkpoints.require_space(self.settings.keep + 2, self.growth()))
        for callback in self.callbacks:
            callback.on_fit_start(self)

    def _end(self, reason: str) -> None:
        """End every part, even if ending another part fails."""
        with ExitStack() as endings:
            for callback in reversed(self.callbacks):
                endings.callback(callback.on_fit_end, self, reason)
            endings.callback(self.folder.set_status, reason)
            endings.callback(self.loader.close)

    # Checkpoints --------------------------------------------------------------------------------------------------

    def save(self, names: Sequence[str]) -> None:
        """Write the current state under the given names. Every process must call it. Raises WriteError if writing fails."""
        self.verify()
        state = self.state_dict()
        if distributed.is_main():
            self.folder.checkpoints.save(state, names)
            self.folder.checkpoints.prune(self.settings.keep)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which `load_state_dict` continues exactly here."""
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
        """Restore a state of `state_dict`, so that training continues where it was saved."""
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
