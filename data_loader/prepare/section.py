"""The data loader that a config describes, without the rest of the config."""

from __future__ import annotations

from pydantic import create_model

from base.base_data_loader import LOADERS, BaseDataLoader
from base.contracts import RunContext
from base.registry import import_all
from utils.config import ConfigError, Problem, RawConfig
from utils.validate import Settings, validate

KEY = "data_loader"


def build_loader(raw: RawConfig, context: RunContext) -> BaseDataLoader:
    """The loader of a config's `data_loader`; it reads no data yet. Raises ConfigError with all problems of that section."""
    import_all(KEY)
    model = create_model("DataConfig", __base__=Settings, **{KEY: (LOADERS.annotation(), ...)})  # type: ignore[call-overload]
    section = {name: value for name, value in raw.values.items() if name == KEY}
    part = getattr(validate(model, RawConfig(section, raw.file, raw.origins), {}), KEY)
    problems = [
        Problem(raw.origin((KEY, "args")), f"{KEY}.args.{below}", message)
        for below, message in part.cls.check(part.args, part.cls.declared(part.args))
    ]
    if problems:
        raise ConfigError(problems)
    loader: BaseDataLoader = part.build(context)
    return loader
