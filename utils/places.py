"""The places of a config's keys: the models that describe an object of a config, and the objects that take a key."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from utils.config import KeyPath


def models_at(annotation: Any, values: Any, key: KeyPath, any_type: bool = False) -> Iterator[type[BaseModel]]:
    """Yield the models that describe the object at `key`; only the model of its `type`, unless `any_type`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from models_at(get_args(annotation)[0], values, key, any_type)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from models_at(member, values, key, any_type)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not key:
            if any_type or _chosen(annotation, values):
                yield annotation
        elif key[0] in annotation.model_fields and _chosen(annotation, values):
            field = annotation.model_fields[str(key[0])]
            yield from models_at(field.annotation, _step(values, key[0]), key[1:], any_type)
    elif origin in (list, dict, tuple) and key:
        yield from models_at(get_args(annotation)[-1], _step(values, key[0]), key[1:], any_type)


def _chosen(model: type[BaseModel], values: Any) -> bool:
    field = model.model_fields.get("type")
    if field is None or get_origin(field.annotation) is not Literal or not isinstance(values, dict):
        return True
    return values.get("type", field.default) in get_args(field.annotation)


def _step(values: Any, part: str | int) -> Any:
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def places_of(name: str, model: type[BaseModel], values: Any, key: KeyPath = ()) -> list[KeyPath]:
    """Return the key of every place at or below `key` at which a config's parts take `name`, whether it is given or not."""
    below = values
    for part in key:
        below = _step(below, part)
    objects = [key, *((*key, *inner) for inner in _objects(below))]
    return [(*place, name) for place in objects if any(name in each.model_fields for each in models_at(model, values, place))]


def _objects(values: Any) -> Iterator[KeyPath]:
    """Yield the key of every object within a config's values; of a part also `args`, if they are not given."""
    if isinstance(values, dict) and isinstance(values.get("type"), str):
        values = {"args": {}, **values}
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, item in items:
        if isinstance(item, dict):
            yield (name,)
        yield from ((name, *inner) for inner in _objects(item))
