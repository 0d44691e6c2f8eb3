"""Every argument that a config can give is described where it is declared: editors and docs/config.md show the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from base.registry import registries
from data_loader.augment.transforms import COMPOSITIONS
from trainer.experiment.config_model import config_model


def arguments() -> Iterator[Any]:
    """Yield (class, argument, its field) of every registered class but those whose arguments a library declares."""
    config_model()  # registers all classes
    for registry in registries():
        for name, part in registry.parts.items():
            if registry.noun == "transform" and name not in COMPOSITIONS:
                continue
            model = part if registry.flat else part.model_fields["args"].annotation
            for argument, field in getattr(model, "model_fields", {}).items():
                if argument != "type":
                    yield pytest.param(field, id=f"{name}.{argument}")


@pytest.mark.parametrize("field", list(arguments()))
def test_an_argument_is_described(field: Any) -> None:
    assert field.description
    assert not field.description.endswith(".")


def test_no_docstring_lists_arguments() -> None:
    classes = [cls for registry in registries() if registry.noun != "transform" for cls in registry.classes.values()]
    assert [cls.__name__ for cls in classes if "\nArgs:" in (cls.__doc__ or "")] == []
