"""Check a config: from the values of a config to an experiment, or all problems of the config at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from base.base_data_loader import LOADERS, Folds
from base.base_metric import BaseMetric
from base.contracts import DataSpec
from base.monitor import Monitor
from base.registry import AnyPart, Checked, named
from trainer.experiment.config_model import REPLACED, config_model, with_trainer_type
from trainer.experiment.conflicts import conflicts, same_scores
from utils import config, files
from utils.config import ConfigError, KeyPath, Problem, RawConfig
from utils.errors import UserError
from utils.validate import Settings, validate

LOGGERS = {"tensorboard": "TensorBoardLogger", "wandb": "WandbLogger"}


@dataclass(frozen=True)
class Experiment:
    """A config that holds: every key known, every argument checked, every part of the same task."""

    raw: RawConfig
    config: Any  # the pydantic model of `config_model`

    @property
    def hash(self) -> str:
        """The SHA-256 of the config's values."""
        return files.hash_json(self.raw.values)


def check(raw: RawConfig) -> Experiment:
    """Return the experiment of a config; build no part and read no data. Raises ConfigError with all problems of the config."""
    raw = dataclasses.replace(raw, values=with_trainer_type(raw.values))
    checked = _validated(raw)
    problems = [*_mixed_tasks(raw, checked), *_inner_problems(raw, checked), *_conflicts(raw, checked)]
    if not problems:
        problems = [*_wrong_scores(raw, checked)]
    if problems:
        raise ConfigError(problems)
    return Experiment(raw, checked)


def _validated(raw: RawConfig) -> Any:
    """Return the config as a validated model of only the classes that it names, so that no other class is imported."""
    try:
        return validate(config_model(named(raw.values)), raw, REPLACED)
    except ConfigError:
        return validate(config_model(), raw, REPLACED)  # knows everything that could have been meant


def placed_parts(value: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, AnyPart]]:
    """Yield every part of a config with its key, including the parts within parts."""
    if isinstance(value, AnyPart):
        yield key, value
        key, value = (*key, *value.place), value.arguments
    if isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from placed_parts(getattr(value, name), (*key, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from placed_parts(item, (*key, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from placed_parts(item, (*key, index))


def _mixed_tasks(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the parts that do not serve the task of the data."""
    tasks = LOADERS.tasks(checked.data_loader.type)
    for key, part in placed_parts(checked):
        serves = part.registry.tasks(part.type) if part.registry is not None else frozenset()
        if tasks and serves and not tasks & serves:
            given = f"{checked.data_loader.type} gives {', '.join(sorted(tasks))}"
            message = f"{part.type} serves {', '.join(sorted(serves))}, but {given}"
            yield Problem(raw.origin((*key, "type")), config.key_text((*key, "type")), message)


def _inner_problems(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the problems that the classes report between their arguments and the declared data."""
    spec = declared_spec(checked)
    for key, part in placed_parts(checked):
        problems = part.cls.check(part.arguments, spec) if isinstance(part.cls, type) and issubclass(part.cls, Checked) else ()
        for below, message in problems:
            place = (*key, *part.place, *config.key_path(below))
            yield Problem(raw.origin(place), config.key_text(place), message)


def _conflicts(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    logs = [name for switch, name in LOGGERS.items() if getattr(checked.trainer, switch)]
    for key, message in conflicts(checked, logs):
        yield Problem(raw.origin(key), config.key_text(key), message)


def _wrong_scores(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the scores that two metrics compute, and the monitored score if nothing computes it."""
    spec = declared_spec(checked)
    metrics = [part.build(spec) for part in checked.metrics]
    for key, message in same_scores(metrics):
        yield Problem(raw.origin(key), config.key_text(key), message)
    try:
        Monitor(checked.trainer.monitor).require(score_names(metrics, checked.data_loader.cls.valid_targets))
    except UserError as error:
        text = str(error).removeprefix("trainer.monitor: ")
        yield Problem(raw.origin(("trainer", "monitor")), "trainer.monitor", text)


def declared_spec(checked: Any) -> DataSpec:
    """Return the data's description by the config alone, without reading the data."""
    spec: DataSpec = checked.data_loader.cls.declared(checked.data_loader.args)
    return spec


def declared_folds(checked: Any) -> Folds | None:
    """Return the folds of a config, None if it has none."""
    folds: Folds | None = checked.data_loader.cls.folds(checked.data_loader.args)
    return folds


def score_names(metrics: list[BaseMetric], valid_targets: bool) -> list[str]:
    """Return the names of all scores that can be monitored. valid_targets: True if validation samples have a loss."""
    losses = ["train/loss", "val/loss"] if valid_targets else ["train/loss"]
    return [*losses, *(f"val/{name}" for metric in metrics for name in metric.names)]
