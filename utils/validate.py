"""Turn pydantic's errors into lines for the user: file, key, the value that was found, the allowed values, the nearest match."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from utils.config import ConfigError, KeyPath, Problem, RawConfig, did_you_mean, key_text, show, suggestions
from utils.places import models_at, places_of

Model = TypeVar("Model", bound=BaseModel)
_WORDS = (
    (r"^Input should be (an? )?(valid )?", ""),
    (r", unable to parse .*", ""),
    (r"^array$", "list"),
    (r"^string$", "text"),
    (r"^(Value error|Assertion failed), ", ""),
    (r"^String should match pattern ", "text that matches "),
    (r"^(String|List|Tuple|Dictionary) should have ", lambda match: f"a {match[1].lower()} with "),
)


class Settings(BaseModel):
    """A group of config keys. Unknown keys are refused, and values are not converted (`"4"` is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Hints(NamedTuple):
    """Hold the replacements of keys, values and types of older templates, for messages.

    keys: key -> its replacement. values: key and value as JSON -> its replacement. of_type: the hint on an unknown type, with
    `; ` before it.
    """

    keys: Mapping[str, str] = {}
    values: Mapping[tuple[str, str], str] = {}
    of_type: Callable[[str], str] = lambda name: ""


NO_HINTS = Hints()


def validate(model: type[Model], raw: RawConfig, hints: Hints = NO_HINTS) -> Model:
    """Return the config as an instance of `model`. Raises ConfigError with every problem."""
    try:
        return model.model_validate_json(json.dumps(raw.values))
    except ValidationError as error:
        raise ConfigError(list(_problems(model, raw, error, hints))) from None


def _problems(model: type[BaseModel], raw: RawConfig, error: ValidationError, hints: Hints) -> Iterator[Problem]:
    by_key: dict[KeyPath, list[ErrorDetails]] = defaultdict(list)
    for detail in error.errors(include_url=False):
        by_key[_key(raw.values, detail)].append(detail)
    for key, details in by_key.items():
        if _other_choice(key, details, by_key):
            continue
        if "union_tag_not_found" in {detail["type"] for detail in details}:
            key = _meant_type(raw.values, key)
        message = _message(model, raw.values, key, details, hints)
        yield Problem(raw.writer(key), key_text(key), message)


def _other_choice(key: KeyPath, details: list[ErrorDetails], keys: Iterable[KeyPath]) -> bool:
    """Return whether the details only say that a list or object has the wrong type, while another problem is inside it."""
    within = any(other[: len(key)] == key != other for other in keys)
    return within and all(detail["type"].endswith("_type") or detail["type"] == "literal_error" for detail in details)


def _key(values: Any, detail: ErrorDetails) -> KeyPath:
    """Return the key in the config, without the names of types that pydantic adds to it."""
    key: list[str | int] = []
    for index, part in enumerate(detail["loc"]):
        if _has(values, part):
            values = values[part]
            key.append(part)
        elif detail["type"] == "missing" and (index == len(detail["loc"]) - 1 or part == "args"):
            key.append(part)
            values = None
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key.append("type")
    return tuple(key)


def _has(values: Any, part: str | int) -> bool:
    if isinstance(values, list):
        return isinstance(part, int) and part < len(values)
    return isinstance(values, dict) and part in values


def _meant_type(values: Any, key: KeyPath) -> KeyPath:
    """Return the key of a part without `type` that looks like a misspelt `type`; `key` itself if no key does."""
    near = [name for name in _at(values, key[:-1]) if name != "args" and suggestions(name, ["type"])]
    return (*key[:-1], near[0]) if near else key


def _message(model: type[BaseModel], values: Any, key: KeyPath, details: list[ErrorDetails], hints: Hints) -> str:
    name = str(key[-1]) if key else ""
    kinds = {detail["type"] for detail in details}
    if "extra_forbidden" in kinds:
        if name in hints.keys:
            return f"is a key of older templates; {hints.keys[name]}"
        return f"unknown key{_known_keys(model, values, key)}"
    if "union_tag_not_found" in kinds and name != "type":
        return f"unknown key{did_you_mean(name, ['type'])}"
    if kinds & {"missing", "union_tag_not_found"}:
        return "is missing, and has no default" if name != "type" else f"is missing; allowed: {_types(model, values, key)}"
    found = details[0]["input"] if name != "type" else _at(values, key)
    if name == "type":
        names = _type_names(model, values, key)
        near = did_you_mean(found, names) if isinstance(found, str) else ""
        hint = hints.of_type(found) if isinstance(found, str) else ""
        return f"unknown type {show(found)}{'' if hint else near}{hint}; allowed: {', '.join(names)}"
    allowed = list(dict.fromkeys(_allowed(detail) + _described(model, values, key, detail) for detail in details))
    words = [word for detail in details for word in _literals(detail)]
    near = did_you_mean(found, words) if isinstance(found, str) else ""
    old = hints.values.get((name, show(found)), "")
    return f"found {show(found)}{near}; allowed: {', or '.join(allowed)}{old}"


def _known_keys(model: type[BaseModel], values: Any, key: KeyPath) -> str:
    """Return a hint on an unknown key: its place below, the nearest known key that is not given, its only place, or all keys."""
    models = list(models_at(model, values, key[:-1])) or list(models_at(model, values, key[:-1], any_type=True))
    known = sorted({name for each in models for name in each.model_fields})
    given, name = _at(values, key[:-1]), str(key[-1])
    if below := places_of(name, model, values, key[:-1]):
        return f' (did you mean "{key_text(below[0])}"?)'
    near = did_you_mean(str(key[-1]), [name for name in known if name not in given]) or did_you_mean(str(key[-1]), known)
    elsewhere = places_of(name, model, values)
    if not near and len(elsewhere) == 1:
        return f' (did you mean "{key_text(elsewhere[0])}"?)'
    return near or f"; allowed: {', '.join(known)}"


def _allowed(detail: ErrorDetails) -> str:
    """Return pydantic's sentence, shortened to the value that is allowed."""
    text = detail["msg"].partition(" after validation, not ")[0]
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


def _described(model: type[BaseModel], values: Any, key: KeyPath, detail: ErrorDetails) -> str:
    """Return the description of the field in brackets if its pattern did not match; else nothing."""
    fields = (each.model_fields.get(str(key[-1])) for each in models_at(model, values, key[:-1])) if key else ()
    described = [field.description for field in fields if field is not None and field.description]
    return f" ({described[0]})" if described and detail["type"] == "string_pattern_mismatch" else ""


def _literals(detail: ErrorDetails) -> list[str]:
    return str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")


def _at(values: Any, key: KeyPath) -> Any:
    for part in key:
        values = values[part]  # type: ignore[index, unused-ignore]
    return values


def _types(model: type[BaseModel], values: Any, key: KeyPath) -> str:
    return ", ".join(_type_names(model, values, key))


def _type_names(model: type[BaseModel], values: Any, key: KeyPath) -> list[str]:
    """Return the type names that are allowed at `key`, which ends with `type`."""
    names = set()
    for each in models_at(model, values, key[:-1], any_type=True):
        field = each.model_fields.get("type")
        names |= set(get_args(field.annotation)) if field is not None else set()
    return sorted(names)
