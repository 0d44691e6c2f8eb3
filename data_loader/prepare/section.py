"""Building of a config's data loader, or submission, without the rest of the config."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pydantic import create_model

from base.base_data_loader import LOADERS, BaseDataLoader
from base.base_reader import SUBMISSIONS, BaseSubmission
from base.contracts import DataSpec, RunContext
from base.registry import Registry, import_all
from data_loader.batches.batches import Batches
from data_loader.image_loader import ImageLoaderSettings
from data_loader.samples.samples import Samples
from utils.config import ConfigError, Problem, RawConfig
from utils.errors import UserError
from utils.validate import Settings, validate

KEY = "data_loader"


@runtime_checkable
class ReadsImages(Protocol):
    """A loader whose image files a command can look at one by one."""

    settings: ImageLoaderSettings
    samples: Samples
    batches: Batches


def build_loader(raw: RawConfig, context: RunContext) -> BaseDataLoader:
    """Return the loader of a config's `data_loader`; it reads no data yet.

    Raises ConfigError with all problems of the section.
    """
    part = _part(raw, KEY, LOADERS)
    _refuse(raw, KEY, part, part.cls.declared(part.args))
    loader: BaseDataLoader = part.build(context)
    return loader


def build_submission(raw: RawConfig) -> BaseSubmission:
    """Return the writer of a config's `submission`.

    Raises ConfigError with all problems of the section, and UserError if the config has no submission.
    """
    if raw.values.get("submission") is None:
        raise UserError(f"{raw.file}: submission: is not set; it says what a file must be like to be handed in")
    data, part = _part(raw, KEY, LOADERS), _part(raw, "submission", SUBMISSIONS)
    spec = data.cls.declared(data.args)
    _refuse(raw, "submission", part, spec)
    submission: BaseSubmission = part.build(spec)
    return submission


def _part(raw: RawConfig, key: str, registry: Registry[Any]) -> Any:
    """Return one section of the config, validated."""
    import_all("data_loader")
    model = create_model("SectionConfig", __base__=Settings, **{key: (registry.annotation(), ...)})  # type: ignore[call-overload]
    section = {name: value for name, value in raw.values.items() if name == key}
    return getattr(validate(model, RawConfig(section, raw.file, raw.origins)), key)


def _refuse(raw: RawConfig, key: str, part: Any, spec: DataSpec) -> None:
    """Raise ConfigError with the problems that the class itself reports."""
    reported = part.cls.check(part.args, spec)
    problems = [Problem(raw.origin((key, "args")), f"{key}.args.{below}", message) for below, message in reported]
    if problems:
        raise ConfigError(problems)
