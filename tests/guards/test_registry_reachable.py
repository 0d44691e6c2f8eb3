"""Check that a shipped config uses every registered class; configs/examples has the classes that the others leave out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from base.registry import registries
from project.tasks import TASKS, tasks_of
from project.template import tasks_here
from tests.shipped import CONFIGS, name
from trainer.experiment import build, checking
from trainer.experiment.config_model import config_model
from utils import config


@cache
def checked(path: Path) -> Any:
    return checking.check(config.read(path)).config


@cache
def used() -> frozenset[object]:
    """Return every class that a shipped config names, or uses by default."""
    logs = {checking.LOGGERS[key] for path in CONFIGS for key in checking.LOGGERS if getattr(checked(path).trainer, key)}
    return frozenset(cls for path in CONFIGS for cls in classes(checked(path))) | {build.CALLBACKS.classes[log] for log in logs}


def classes(value: Any) -> Iterator[object]:
    """Yield the class that a part builds, the class of a default instance, and the classes of nested parts."""
    yield getattr(value, "cls", type(value))
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from classes(getattr(value, field))
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from classes(item)


COMPLETE = set(tasks_here()) == set(TASKS)  # without a task, a common class may lack the config that uses it


def registered() -> list[Any]:
    config_model()
    classes = [(r.noun, cls) for r in registries() for cls in r.classes.values()]
    mine = [(noun, cls) for noun, cls in classes if COMPLETE or tasks_of(cls.__module__.replace(".", "/"))]
    return [pytest.param(cls, id=f"{noun} {cls.__name__}") for noun, cls in mine]


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_is_valid(path: Path) -> None:
    assert checked(path).name


@pytest.mark.parametrize("cls", registered())
def test_a_registered_class_is_used_by_a_shipped_config(cls: type) -> None:
    assert cls in used()


def test_shipped_configs_have_different_names() -> None:
    names = [checked(path).name for path in CONFIGS]
    assert len(set(names)) == len(names)
