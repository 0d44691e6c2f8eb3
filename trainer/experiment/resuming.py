"""The comparison of configs if a run is resumed: keys that must be equal, and keys that may differ."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from base.registry import AnyPart, Part, registries
from trainer.experiment import checking
from trainer.experiment.checking import Experiment
from utils import config
from utils.config import ConfigError, Problem

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
    values: dict[str, Any], file: str, wanted: Experiment, may_change: Collection[str] = WITH_ITS_START | {"init_from"}
) -> None:
    """Raise ConfigError if a checkpoint's config differs from the config to resume with, in more than how it is run.

    values: of the checkpoint's config, which are in `file`. They are checked only if they differ: a default that is written
    out is no difference. A run that is named goes on with its own weights, so `init_from` may differ then, as it may not if a
    run of this config is looked for.
    """
    if values == wanted.raw.values:
        return
    stored = checking.check(config.from_values(values, file))
    problems = [
        Problem(
            wanted.raw.file,
            config.key_text(key),
            f"the checkpoint was trained with {config.show(old)}, this config says "
            f"{config.show(new)}; resume with the same value, or start a new run without -r",
        )
        for key, old, new in config.differences(plain(stored.config), plain(wanted.config))
        if not any(config.key_text(key[:length]) in may_change for length in range(1, len(key) + 1))
    ]
    if problems:
        raise ConfigError(problems)


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
