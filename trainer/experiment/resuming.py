"""The comparison of configs if a run is resumed: keys that must be equal, and keys that may differ."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from base.registry import AnyPart, Part, registries
from base.saved.names import CONFIG
from trainer.experiment import checking
from trainer.experiment.checking import Experiment
from utils import config
from utils.config import ConfigError, KeyPath, Problem

# Keys that may differ if a run is resumed: duration, speed and place of the training, but neither model nor data.
_TRAINER_MAY_CHANGE = (
    "epochs", "early_stop", "validate_every", "save_dir", "save_period", "keep", "save_steps", "nonfinite", "max_skips",
    "compile", "channels_last", "deterministic", "log_every", "tensorboard", "wandb", "verbosity",
)  # fmt: skip
_LOADER_MAY_CHANGE = ("num_workers", "cache_mb", "worker_timeout", "data_dir")
MAY_CHANGE = {
    *(f"trainer.{key}" for key in _TRAINER_MAY_CHANGE),
    *(f"data_loader.args.{key}" for key in _LOADER_MAY_CHANGE),
    "lr_scheduler.args.epochs",
    "submission",
    "budget",
}
WITH_ITS_START = frozenset(MAY_CHANGE)  # to find a run by its config; `init_from` must then be equal


def require_resumable(
    values: dict[str, Any],
    file: str,
    wanted: Experiment,
    may_change: Collection[str] = WITH_ITS_START | {"init_from"},
    weights: Path | None = None,
) -> None:
    """Raise ConfigError if a checkpoint's config differs from the config to resume with, in more than how it is run.

    values: of the checkpoint's config, which are in `file`. They are checked only if they differ: a default that is written
    out is no difference. A run that is named goes on with its own weights, so `init_from` may differ then, as it may not if a
    run of this config is looked for. weights: the checkpoint; the error then has the command that begins a new run with it.
    """
    if values == wanted.raw.values:
        return
    stored = checking.check(config.from_values(values, file))
    different = list(config.differences(plain(stored.config), plain(wanted.config)))
    refused = [
        (key, f"the checkpoint was trained with {config.show(old)}, this config says {config.show(new)}")
        for key, old, new in different
        if not any(config.key_text(key[:length]) in may_change for length in range(1, len(key) + 1))
    ]
    if refused:
        start = "start a new run without -r"
        if weights is not None:
            start = f"begin a new run with these weights (init_from): {_new_run(weights, wanted, different)}"
        problems = [
            Problem(wanted.raw.file, config.key_text(key), f"{text}; resume with the same value") for key, text in refused
        ]
        raise ConfigError([*problems[:-1], problems[-1]._replace(message=f"{problems[-1].message}, or {start}")])


def _new_run(weights: Path, wanted: Experiment, different: Sequence[tuple[KeyPath, Any, Any]]) -> str:
    """Return the command that trains a new run of the wanted config from a checkpoint's weights."""
    changes: dict[str, Any] = {}
    retyped = [key[:-1] for key, _, _ in different if key[-1] == "type"]
    for key, _, new in different:
        part = next((part for part in retyped if key[: len(part)] == part), None)  # arguments of another type do not fit
        changes[config.key_text(part or key)] = _value(wanted.raw.values, part) if part else new
    changes = {key: value for key, value in changes.items() if key.partition(".")[0] != "init_from"}
    begin = (
        {"init_from.checkpoint": str(weights)} if wanted.config.init_from is None else {"init_from": {"checkpoint": str(weights)}}
    )
    sets = [f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in (changes | begin).items()]
    return f"python train.py -c {shlex.quote(str(weights.parent / CONFIG))} {' '.join(sets)}"


def _value(values: Any, key: KeyPath) -> Any:
    for name in key:
        values = values[name]
    return values


def plain(value: Any) -> Any:
    """Return a validated config, or a part of a config, as plain values, including all defaults."""
    if isinstance(value, Part):
        return {"type": value.type, "args": plain(value.args)}
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name, field in type(value).model_fields.items() if not field.exclude}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return plain(_default_part(value))


def _default_part(instance: object) -> AnyPart:
    """Return the part of a config that stands for an instance of a registered class (the default of an argument)."""
    name = type(instance).__name__
    registry = next(registry for registry in registries() if registry.classes.get(name) is type(instance))
    return registry.parts[name].model_validate({"type": name})
