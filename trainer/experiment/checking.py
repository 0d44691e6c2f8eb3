"""Check a config: from the values of a config to an experiment, or all problems of the config at once."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from base.base_data_loader import LOADERS, Folds
from base.base_metric import BaseMetric
from base.contracts import DataSpec
from base.monitor import Monitor
from base.registry import AnyPart, Checked, named
from trainer.experiment.config_model import HINTS, config_model, with_trainer_type
from trainer.experiment.conflicts import conflicts, same_scores
from utils import config, files
from utils.config import ConfigError, KeyPath, Problem, RawConfig, suggestions
from utils.errors import UserError
from utils.validate import Settings, validate

LOGGERS = {"tensorboard": "TensorBoardLogger", "wandb": "WandbLogger"}


@dataclass(frozen=True)
class Experiment:
    """A valid config: every key is known, every argument is checked, every part serves the task of the data."""

    raw: RawConfig
    config: Any  # the pydantic model of `config_model`

    @property
    def hash(self) -> str:
        """The SHA-256 of the config's values."""
        return files.hash_json(self.raw.values)


def check(raw: RawConfig) -> Experiment:
    """Return the experiment of a config; build no part and read no data. Raises ConfigError with all problems of the config."""
    raw = dataclasses.replace(raw, values=with_trainer_type(raw.values))
    checked, problems = _validated(raw)
    problems = [*problems, *_further(raw, checked, problems)]
    if problems:
        raise ConfigError(problems)
    return Experiment(raw, checked)


def _validated(raw: RawConfig) -> tuple[Any, list[Problem]]:
    """Return the config as a model of only the classes that it names, so that no other class is imported, and no problem.

    If there are problems: those, and an object with the top-level keys that hold without what the problems are about.
    """
    try:
        return validate(config_model(named(raw.values)), raw, HINTS), []
    except ConfigError:
        pass
    try:
        return validate(config_model(), raw, HINTS), []  # knows everything that could have been meant
    except ConfigError as error:
        return _holding(raw, error.problems), error.problems


def _holding(raw: RawConfig, problems: Sequence[Problem]) -> SimpleNamespace:
    """Return the validated values of the top-level keys that hold once every value with a problem is left out."""
    values = copy.deepcopy(raw.values)
    for problem in problems:
        _leave_out(values, config.key_path(problem.key))
    holding = {}
    for name, field in config_model().model_fields.items():
        alone: type[Settings] = create_model("Alone", __base__=Settings, **{name: (field.annotation, field)})  # type: ignore[call-overload]
        given = {name: values[name]} if name in values else {}
        with suppress(ValidationError):
            holding[name] = getattr(alone.model_validate_json(json.dumps(given)), name)
    return SimpleNamespace(**holding)


def _leave_out(values: Any, key: KeyPath) -> None:
    for part in key[:-1]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return
    if key and isinstance(values, dict):
        values.pop(key[-1], None)


def _further(raw: RawConfig, checked: Any, before: Sequence[Problem]) -> list[Problem]:
    """Return the problems between values that are valid one by one; none about what has a problem already."""
    there = set(_fields(checked))
    if "data_loader" not in there:
        return []
    found = [*_mixed_tasks(raw, checked)]
    known = not before or _declared_as_given(checked, before)  # else the labels of the data are not known
    if known:
        found += _inner_problems(raw, checked)
    if there >= {"trainer", "callbacks", "lr_scheduler", "loss"}:
        found += _conflicts(raw, checked)
    buildable = not any(problem.key.startswith(("metrics", "data_loader")) for problem in found)
    if known and buildable and there >= {"trainer", "metrics"}:
        found += _wrong_scores(raw, checked)
    told = [problem.key for problem in before]
    return [problem for problem in found if not any(_overlap(problem.key, key) for key in told)]


def _overlap(one: str, other: str) -> bool:
    first, second = config.key_path(one), config.key_path(other)
    length = min(len(first), len(second))
    return first[:length] == second[:length]


def _declared_as_given(checked: Any, problems: Sequence[Problem]) -> bool:
    """Return whether the declared data are those of the config, though values with a problem were left out."""
    loader = checked.data_loader
    read = _Reads(loader.args)
    loader.cls.declared(read)
    left_out = [config.key_path(problem.key) for problem in problems]
    names = [str(key[2]) for key in left_out if key[:2] == ("data_loader", "args") and len(key) > 2]
    return not any(name in read.names or suggestions(name, read.names) for name in names)


class _Reads:
    """Pass on the arguments of a loader, and note the names of the arguments that are read."""

    def __init__(self, args: Any) -> None:
        self._args = args
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self._args, name)


def _fields(checked: Any) -> dict[str, Any]:
    """Return the top-level keys of a validated config that hold, with their values."""
    return dict(checked) if isinstance(checked, BaseModel) else vars(checked)


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
    for key, part in placed_parts(_fields(checked)):
        serves = part.registry.tasks(part.type) if part.registry is not None else frozenset()
        if tasks and serves and not tasks & serves:
            given = f"{checked.data_loader.type} gives {', '.join(sorted(tasks))}"
            message = f"{part.type} serves {', '.join(sorted(serves))}, but {given}"
            yield Problem(raw.writer((*key, "type")), config.key_text((*key, "type")), message)


def _inner_problems(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the problems that the classes report between their arguments and the declared data."""
    spec = declared_spec(checked)
    for key, part in placed_parts(_fields(checked)):
        problems = part.cls.check(part.arguments, spec) if isinstance(part.cls, type) and issubclass(part.cls, Checked) else ()
        for below, message in problems:
            place = (*key, *part.place, *config.key_path(below))
            yield Problem(raw.writer(place), config.key_text(place), message)


def _conflicts(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    logs = [name for switch, name in LOGGERS.items() if getattr(checked.trainer, switch)]
    for key, message in conflicts(checked, logs):
        yield Problem(raw.writer(key), config.key_text(key), message)


def _wrong_scores(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the scores that two metrics compute, and the monitored score if nothing computes it."""
    spec = declared_spec(checked)
    metrics = [part.build(spec) for part in checked.metrics]
    for key, message in same_scores(metrics):
        yield Problem(raw.writer(key), config.key_text(key), message)
    try:
        Monitor(checked.trainer.monitor).require(score_names(metrics, checked.data_loader.cls.valid_targets))
    except UserError as error:
        text = str(error).removeprefix("trainer.monitor: ")
        yield Problem(raw.writer(("trainer", "monitor")), "trainer.monitor", text)


def declared_spec(checked: Any) -> DataSpec:
    """Return the data's description by the config alone, without reading the data."""
    spec: DataSpec = checked.data_loader.cls.declared(checked.data_loader.args)
    return spec


def declared_folds(checked: Any) -> Folds | None:
    """Return the folds of a config, None if it has none."""
    folds: Folds | None = checked.data_loader.cls.folds(checked.data_loader.args)
    return folds


def no_folds(checked: Any) -> str:
    """Return why a config has no folds, and what to do."""
    key = checked.data_loader.cls.own_side(checked.data_loader.args)
    if key is not None:
        return f"no folds: validation is a side of its own (data_loader.args.{key})"
    return "the config has no folds; give data_loader.args.split a number of them"


def score_names(metrics: list[BaseMetric], valid_targets: bool) -> list[str]:
    """Return the names of all scores that can be monitored. valid_targets: True if validation samples have a loss."""
    losses = ["train/loss", "val/loss"] if valid_targets else ["train/loss"]
    return [*losses, *(f"val/{name}" for metric in metrics for name in metric.names)]
