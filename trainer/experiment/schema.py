"""The generated files configs/schema.json (for editors) and docs/config.md (for readers): `python laurel.py schema`."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from base.registry import registries
from trainer.experiment import reference
from trainer.experiment.config_model import config_model
from trainer.experiment.stages import StagesConfig

ROOT = Path(__file__).parents[2]
SCHEMA, REFERENCE = ROOT / "configs" / "schema.json", ROOT / "docs" / "config.md"

Schema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Defaults that are instances of registered classes appear as what a config would say for them."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default", "skipped-choice"}

    def encode_default(self, dft: Any) -> Any:
        """Return the default as JSON."""
        name = type(dft).__name__
        if any(registry.classes.get(name) is type(dft) for registry in registries()):
            return {"type": name}
        return super().encode_default(dft)


def whole_schema() -> Schema:
    """Return the JSON Schema of a config with everything that it extends."""
    return config_model().model_json_schema(schema_generator=_Generator)


def file_schema(whole: Schema) -> Schema:
    """Return the JSON Schema of a config file.

    It requires the keys that every config needs, unless the file extends another. What a part needs is left to
    `train.py --check`: a file that extends another may give any key of a part by itself.
    """
    schema = copy.deepcopy(whole)
    for part in _subschemas(schema):
        for name in ("required", "title", "discriminator"):  # the last is for OpenAPI only
            part.pop(name, None)
        if "oneOf" in part:  # without `required`, `type` no longer tells them apart
            part["anyOf"] = part.pop("oneOf")
    file = {"type": "string", "minLength": 1}
    own: Schema = {
        "$schema": {"type": "string", "description": "where this schema is, for editors"},
        "extends": {
            "anyOf": [file, {"type": "array", "items": file}],
            "description": "config or configs to start from, relative to this file; later ones win, and this file over them",
        },
    }
    stages = StagesConfig.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config",
        "type": "object",
        "allowComments": True,
        "if": {"required": ["stages"]},
        "then": {"properties": {**own, **stages["properties"]}, "additionalProperties": False},
        "else": {
            "properties": {**own, **schema["properties"]},
            "additionalProperties": False,
            "if": {"required": ["extends"]},
            "else": {"required": whole["required"]},
        },
        "$defs": {**schema["$defs"], **stages["$defs"]},
    }


def _subschemas(schema: Schema) -> Iterator[Schema]:
    """Yield the schema and all schemas within it, but not the mappings from names to schemas."""
    yield schema
    below = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    for name in ("anyOf", "oneOf", "prefixItems"):
        below += schema.get(name, [])
    below += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for part in below:
        yield from _subschemas(part)


def texts() -> dict[Path, str]:
    """Return path -> text of each generated file."""
    whole = whole_schema()
    schema = json.dumps(file_schema(whole), indent=1, ensure_ascii=False)
    return {
        SCHEMA: schema + "\n",
        REFERENCE: reference.markdown(whole, StagesConfig.model_json_schema(), reference.shipped_examples(SCHEMA.parent)),
    }


def stale() -> dict[Path, str]:
    """Return path -> text of each generated file that is not up to date."""
    return {path: text for path, text in texts().items() if not path.exists() or path.read_text(encoding="utf-8") != text}
