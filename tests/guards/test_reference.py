"""Check docs/config.md: its sections have the order of a config, and every part has a valid example."""

from __future__ import annotations

import json
import re

import pytest

from base.registry import registries
from project.tasks import TASKS
from tests.guards.sources import ROOT
from trainer.experiment.config_model import config_model
from trainer.experiment.reference import LIBRARIES

PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.skipif(
    any(not (ROOT / "data_loader" / task).exists() for task in TASKS), reason="configs of some tasks are left out"
)
def test_every_registered_class_has_an_example() -> None:
    config_model()  # registers all classes
    names = {name for registry in registries() if registry.noun not in LIBRARIES for name in registry.names}
    assert names <= {example["type"] for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["type"]))
def test_an_example_is_valid(example: dict[str, object]) -> None:
    config_model()
    registry = next(registry for registry in registries() if example["type"] in registry.names)
    part = registry.part(str(example["type"])).model_validate_json(json.dumps(example))
    assert part.type == example["type"]


def test_the_data_come_before_the_model_and_the_loss_before_the_metrics() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    places = [headings.index(name) for name in ("data_loader", "reader", "model", "loss", "metric", "optimizer", "submission")]
    assert places == sorted(places)
