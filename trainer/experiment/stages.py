"""Several runs in order, as one: a config with `"stages"`, each of which may begin with the weights of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trainer.experiment import changing, checking
from trainer.experiment.group import Member
from trainer.experiment.init_from import Selection
from utils import config
from utils.config import ConfigError, Override, Overrides, Problem, RawConfig, did_you_mean
from utils.validate import Settings, validate

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,30}$")]  # two of them and a hyphen name a run


class StageInit(Selection):
    """The weights that a stage begins with."""

    stage: Name = Field(description="an earlier stage")
    which: Literal["best", "last"] = Field(default="best", description="which of its checkpoints")


class Stage(Settings):
    """One run of the group."""

    name: Name = Field(description="of the stage; its run is called NAME-STAGE")
    config: str = Field(description="its config, relative to this file")
    init_from: StageInit | None = Field(default=None, description="the weights to begin with; default: those of its config")


class StagesConfig(Settings):
    """Stages that `train.py` runs in order. Each is a run of its own."""

    name: Name = Field(description="of the group")
    stages: Annotated[list[Stage], Field(min_length=1)] = Field(description="in the order in which they run")


def is_staged(raw: RawConfig) -> bool:
    """Return whether a config describes stages."""
    return "stages" in raw.values


def members(raw: RawConfig, given: Overrides) -> list[Member]:
    """Return the stages, each with its whole, checked config. Raises ConfigError with the problems of all stages.

    given: overrides for every stage, or with `STAGE:` before the key for one.
    """
    overrides = config.overrides_of(given)
    stages: StagesConfig = validate(StagesConfig, raw)
    problems = [*_wrong_order(raw, stages), *_wrong_overrides(stages, overrides)]
    checked: list[Member] = []
    for stage in stages.stages:
        try:
            checked.append(_member(Path(raw.file).parent, stages.name, stage, overrides))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return checked


def _member(folder: Path, group: str, stage: Stage, overrides: Sequence[Override]) -> Member:
    own = [override for name, override in map(_addressed, overrides) if name in (None, stage.name)]
    raw = changing.read(folder / stage.config, [*own, Override("name", f"{group}-{stage.name}")])
    experiment, init = checking.check(raw), stage.init_from
    return Member(stage.name, experiment) if init is None else Member(stage.name, experiment, init.stage, init.which, init)


def _addressed(override: Override) -> tuple[str | None, Override]:
    """Return the stage that an override names, None for all of them, and the override for its config."""
    stage, colon, key = override.key.partition(":")
    return (stage, override._replace(key=key)) if colon else (None, override)


def _wrong_overrides(stages: StagesConfig, overrides: Sequence[Override]) -> Iterator[Problem]:
    names = [stage.name for stage in stages.stages]
    for override in overrides:
        name, own = _addressed(override)
        if own.key.strip() == "name":
            message = "a stage's run is called by its group and its own name; change those in the file"
            yield Problem(override.option, override.key, message)
        if name is not None and name not in names:
            message = f"no stage is called {name}{did_you_mean(name, names)}; there are: {', '.join(names)}"
            yield Problem(override.option, override.key, message)


def _wrong_order(raw: RawConfig, stages: StagesConfig) -> Iterator[Problem]:
    """Yield the names given twice, and the stages that begin with a stage that runs later."""
    before: list[str] = []
    for index, stage in enumerate(stages.stages):
        if stage.name in before:
            yield Problem(raw.file, f"stages[{index}].name", f'found "{stage.name}" twice; every stage needs a name of its own')
        if stage.init_from and stage.init_from.stage not in before:
            found, there = stage.init_from.stage, ", ".join(before) or "none, this is the first"
            yield Problem(raw.file, f"stages[{index}].init_from.stage", f'found "{found}"; allowed, an earlier stage: {there}')
        before.append(stage.name)
