"""The schema of the loader of attributes."""

from __future__ import annotations

import json

from trainer.experiment import schema


def test_a_default_that_is_an_instance_appears_as_its_part() -> None:
    loader = json.loads(schema.texts()[schema.SCHEMA])["$defs"]["AttributeLoaderArgs"]
    assert loader["properties"]["sampler"]["default"] == {"type": "ShuffleSampler"}
