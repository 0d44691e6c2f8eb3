"""Find a learning rate: `python laurel.py find-lr -c CONFIG -o DIR` raises the rate from step to step until the loss explodes.

The range test of Smith (2017), with an exponential ramp. Nothing is kept in `saved/models`: the weights of the sweep are
useless. It writes `lr.csv` (a row for each step), `lr.json` (the suggestion and its reason) and `lr.png`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.base_callback import BaseCallback
from utils.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from base.base_trainer import BaseTrainer
    from trainer.experiment.checking import Experiment

MEMORY = 0.9  # of the smoothed loss: about the last ten steps
EXPLODED = 4.0  # times the lowest smoothed loss above 0
SETTLED = 10  # steps after which the smoothed loss means something
MIN_STEPS = 20


@dataclass(frozen=True)
class Ramp:
    """Rates from `low` to `high`, each the same multiple of the rate before. Raises UserError if the range is not valid."""

    low: float
    high: float
    steps: int

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high <= 1e6):
            raise UserError(
                f"--from {self.low:g} --to {self.high:g}: allowed: two rates above 0 and up to 1e6, the first below the second"
            )
        if self.steps < MIN_STEPS:
            raise UserError(f"--steps {self.steps}: allowed: at least {MIN_STEPS}, or there is no curve to look at")

    def rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        return float(self.low * (self.high / self.low) ** (step / (self.steps - 1)))


class SweepOver(Exception):
    """Raised to end a sweep."""


@dataclass
class Sweep(BaseCallback):
    """A callback that sets the rate of every step and records the loss. The rates of groups keep their ratios to the config's."""

    ramp: Ramp
    ratios: list[float]
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    ended: str = "the range is at its end"
    diverged: float | None = None  # the rate of the step that ended it, if it was not the last

    def on_epoch_start(self, trainer: BaseTrainer) -> None:
        """Set the rate of the next step."""
        optimizer: torch.optim.Optimizer = trainer.optimizer  # type: ignore[attr-defined]
        for group, ratio in zip(optimizer.param_groups, self.ratios, strict=True):
            group["lr"] = ratio * self.ramp.rate(len(self.rates))

    def on_step(self, trainer: BaseTrainer, losses: Mapping[str, Tensor]) -> None:
        """Record the loss; end the sweep if the loss explodes or was the last. This waits for the device: the loss is needed."""
        loss = float(losses["loss"]) if losses else math.nan
        if not math.isfinite(loss):
            self._end("the loss or its gradient was not finite")
        self.take(loss)
        if len(self.smoothed) > SETTLED and self.smoothed[-1] > EXPLODED * min(self.smoothed):
            self._end(f"the smoothed loss was {EXPLODED:g} times its lowest value")
        if len(self.rates) == self.ramp.steps:
            raise SweepOver
        self.on_epoch_start(trainer)

    def take(self, loss: float) -> None:
        """Record a loss. The smoothed loss is an exponential average without bias to 0 (Kingma and Ba 2015, section 3)."""
        number = len(self.losses)
        before = self.smoothed[-1] * (1 - MEMORY**number) if number else 0.0
        self.rates.append(self.ramp.rate(number))
        self.losses.append(loss)
        self.smoothed.append((MEMORY * before + (1 - MEMORY) * loss) / (1 - MEMORY ** (number + 1)))

    def _end(self, reason: str) -> None:
        self.diverged = self.ramp.rate(len(self.losses))
        self.ended = f"{reason} at {self.diverged:.2g}"
        raise SweepOver


@dataclass(frozen=True)
class Suggestion:
    """The rates that a sweep suggests; None if it suggests none."""

    steepest: float | None  # where the smoothed loss falls fastest over the logarithm of the rate
    tenth: float | None  # of the rate at which training diverged
    ended: str

    def lines(self) -> list[str]:
        """Return the lines of text for the user."""
        suggested = [
            (self.steepest, "where the smoothed loss falls most steeply"),
            (self.tenth, "a tenth of the rate at which training diverged"),
        ]
        rates = [f"--lr {rate:.2g}: {why}" for rate, why in suggested if rate is not None]
        none = "no suggestion: the loss did not fall; begin with a lower --from, or look at lr.png"
        return [f"the sweep ended because {self.ended}", *(rates or [none])]


def suggest(rates: list[float], smoothed: list[float], diverged: float | None, ended: str) -> Suggestion:
    """Return the suggestion of a curve. rates, smoothed: rate and smoothed loss of every step, (n,) each."""
    import numpy as np

    first = min(SETTLED, len(rates) // 4)
    logs, losses = np.log10(rates[first:]), np.array(smoothed[first:])
    lowest = int(losses.argmin()) if len(losses) else 0
    if lowest < 2:  # it never fell
        return Suggestion(None, None, ended)
    slope = np.gradient(losses[: lowest + 1], logs[: lowest + 1])
    steepest = float(10 ** logs[int(slope.argmin())])
    return Suggestion(steepest, diverged / 10 if diverged is not None else None, ended)


def sweep(given: Experiment, ramp: Ramp, chosen: torch.device) -> Sweep:
    """Train with the config's settings and first weights but the ramp's rates, until the loss explodes; return the sweep."""
    from base.saved.run_folder import RunFolder
    from trainer.experiment import build

    alone = {"nonfinite": "skip", "save_steps": None, "ema": None, "tensorboard": False, "wandb": False, "verbosity": 0}
    changes = {"lr_scheduler": None, "callbacks": [], "trainer": given.config.trainer.model_copy(update=alone)}
    experiment = replace(given, config=given.config.model_copy(update=changes))
    loader = build.build_loader(experiment, chosen)
    try:
        with tempfile.TemporaryDirectory() as folder, build.deterministic(experiment.config.trainer.deterministic):
            trainer = build.build_trainer(experiment, loader, RunFolder.at(Path(folder)), chosen)
            rate = experiment.config.optimizer.args.lr
            made = Sweep(ramp, [each / rate for each in trainer.learning_rates().values()])
            trainer.callbacks = [made]
            _train(trainer)
    finally:
        loader.close()
    return made


def _train(trainer: BaseTrainer) -> None:
    """Train epochs until the sweep ends."""
    try:
        while True:
            trainer.train_epoch()
            trainer.progress.epoch, trainer.progress.batch = trainer.progress.epoch + 1, 0
    except SweepOver:
        pass


def write(made: Sweep, suggestion: Suggestion, folder: Path) -> None:
    """Write the curve, the suggestion, and a picture of both. Raises WriteError if a file cannot be written."""
    from utils import files

    rows = zip(made.rates, made.losses, made.smoothed, strict=True)
    text = "".join(f"{rate!r},{loss!r},{smooth!r}\n" for rate, loss, smooth in rows)
    with files.explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files.write_bytes(folder / "lr.csv", f"lr,loss,smoothed\n{text}".encode())
    files.write_json(folder / "lr.json", {**asdict(suggestion), **asdict(made.ramp), "said": suggestion.lines()})
    files.write_atomically(folder / "lr.png", lambda file: plot(made, suggestion).savefig(file, format="png", dpi=120))


def plot(made: Sweep, suggestion: Suggestion) -> Any:
    """Return a figure of the losses over the rates, with the suggestion."""
    from model.plots import figure_of

    figure = figure_of(7, 4)
    axes = figure.subplots()
    axes.plot(made.rates, made.losses, color="0.8", linewidth=1, label="loss")
    axes.plot(made.rates, made.smoothed, color="C0", label="smoothed")
    steepest, tenth = suggestion.steepest, suggestion.tenth
    for rate, colour, name in ((steepest, "C1", "steepest descent"), (tenth, "C2", "a tenth of the divergence")):
        if rate is not None:
            axes.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.2g}")
    top = EXPLODED * min(made.smoothed) if made.smoothed and min(made.smoothed) > 0 else None
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(None, top), title=suggestion.ended)
    axes.legend()
    return figure
