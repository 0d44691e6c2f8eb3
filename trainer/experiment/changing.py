"""Change a config by overrides; a key may be a name alone if only one place of the config takes it."""

from __future__ import annotations

from typing import Any

from base.registry import named
from trainer.experiment.config_model import config_model, with_trainer_type
from utils import config
from utils.config import SHORTCUTS, ConfigError, Given, Override, Overrides, Problem, RawConfig, key_text
from utils.places import places_of


def read(given: Given, overrides: Overrides = ()) -> RawConfig:
    """Read a config and change it. Raises ConfigError as `utils.config.read` does, and for a name that several places take."""
    return _changed(config.read(given), overrides)


def from_values(values: dict[str, Any], file: str, overrides: Overrides = ()) -> RawConfig:
    """Make a config of values that are already read, and change it. Raises ConfigError as `read` does."""
    return _changed(config.from_values(values, file), overrides)


def _changed(raw: RawConfig, overrides: Overrides) -> RawConfig:
    for override in config.overrides_of(overrides):
        config.override(raw, [_spelled_out(raw, override)])
    return raw


def _spelled_out(raw: RawConfig, override: Override) -> Override:
    """Return the override with its whole key, if its key is a shortcut, or a name alone that one part of the config takes."""
    name = override.key.strip()
    if not name.isidentifier() or name in raw.values or name in config_model(frozenset()).model_fields:
        return override
    if name in SHORTCUTS:
        return override._replace(key=SHORTCUTS[name])
    values = with_trainer_type(raw.values)
    places = [key_text(place) for place in places_of(name, config_model(named(values)), values)]
    if len(places) > 1:
        raise ConfigError([Problem(override.option, name, f"is at several places; write one of them: {', '.join(places)}")])
    return override._replace(key=places[0]) if places else override
