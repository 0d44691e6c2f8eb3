"""Registered classes: the only things a config can name, each with the arguments its constructor declares."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from base.contracts import DataSpec, OutputSpec, RunContext
from utils.validate import Settings

T = TypeVar("T")
INJECTED = (DataSpec, OutputSpec, RunContext)  # parameters of these types come from the run, not from the config
Names = frozenset[str] | None  # the registered classes that a config names; None for all that there are

_by_base: dict[type, Registry[Any]] = {}


class Part(Settings):
    """`{"type": name of a registered class, "args": {…}}`, checked against that class's constructor."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    cls: ClassVar[Callable[..., Any]]
    registry: ClassVar[Registry[Any] | None] = None
    type: str
    args: Any

    def build(self, *injected: object) -> Any:
        """An instance: nested parts first, then parameters whose type is that of one of `injected`."""
        if isinstance(self.cls, type) and isinstance(self.args, self.cls):
            return self.args  # a class of settings is its own argument model
        names = [name for name, field in type(self.args).model_fields.items() if not field.exclude]
        values = {name: _build(getattr(self.args, name), injected) for name in names}
        if (settings := settings_of(self.cls)) is not None:
            values = {"settings": settings.model_construct(**values)}  # checked as the arguments, parts not yet built
        return self.cls(**values, **_injections(self.cls, injected))


class Checked:
    """A registered class that can say what is wrong between arguments which are right one by one."""

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """(key below `args`, message) pairs; spec is what the config alone says of the data. Touches no file."""
        return ()


class Registry(Generic[T]):
    """The classes that may stand at one place of a config.

    Registering checks what would otherwise fail an epoch later: a name taken twice, a class that does not derive from
    the base or leaves a method abstract, a constructor with `*args`, `**kwargs` or an argument without a type.
    """

    def __init__(self, noun: str, base: type[T]) -> None:
        self.noun, self.base = noun, base
        self.classes: dict[str, type[T]] = {}
        self._tasks: dict[str, frozenset[str]] = {}
        self._parts: dict[tuple[str, Names], type[Part]] = {}
        _by_base[base] = self

    def register(self, *tasks: str) -> Callable[[type[T]], type[T]]:
        """Class decorator; `tasks` are those that the class serves, none meaning all."""

        def add(cls: type[T]) -> type[T]:
            name = cls.__name__
            if name in self.classes:
                raise TypeError(f"{self.noun} {name} is registered twice: in {self.classes[name].__module__}, {cls.__module__}")
            if not issubclass(cls, self.base):
                raise TypeError(f"{self.noun} {name} must derive from {self.base.__name__}")
            if inspect.isabstract(cls):
                missing = ", ".join(sorted(getattr(cls, "__abstractmethods__")))  # noqa: B009 - only abstract classes have it
                raise TypeError(f"{self.noun} {name} does not define {missing}")
            _check_constructor(cls)
            self.classes[name] = cls
            self._tasks[name] = frozenset(tasks)
            self.forget()
            return cls

        return add

    def tasks(self, name: str) -> frozenset[str]:
        """The tasks that a class serves; empty for all."""
        return self._tasks.get(name, frozenset())

    @property
    def names(self) -> list[str]:
        """What `type` may be."""
        return sorted(self.classes)

    @property
    def parts(self) -> dict[str, type[Part]]:
        """A model per registered class, which validates `{"type", "args"}` for it."""
        return {name: self.part(name) for name in self.names}

    def part(self, name: str, among: Names = None) -> type[Part]:
        """The model of one class; the parts within it are of classes `among` these."""
        if (name, among) not in self._parts:
            self._parts[name, among] = self.make_part(name, among)
            self._parts[name, among].registry = self
        return self._parts[name, among]

    def make_part(self, name: str, among: Names) -> type[Part]:
        """What `part` keeps."""
        cls = self.classes[name]
        return part_model(name, cls, arguments_of(cls, among))

    def forget(self) -> None:
        """Make all models anew, from what is registered then."""
        self._parts.clear()

    def annotation(self, among: Names = None) -> Any:
        """The type of a config key that holds one part of this registry."""
        names = [name for name in self.names if among is None or name in among]
        # Where the config names no class of this registry any one will do: what is not there has to match nothing.
        return union_of(self.part(name, among) for name in names or self.names[:1])


def named(values: Any) -> frozenset[str]:
    """Every `type` that a config's values hold, at whatever depth."""
    below = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    own = values.get("type") if isinstance(values, dict) else None
    return frozenset().union([own] if isinstance(own, str) else (), *map(named, below))


def registries() -> list[Registry[Any]]:
    """All there are, by noun."""
    return sorted(_by_base.values(), key=lambda registry: registry.noun)


def union_of(parts: Iterable[type[BaseModel]]) -> Any:
    """One annotation for any of several models, told apart by `type`."""
    models = tuple(parts)
    return models[0] if len(models) == 1 else Annotated[Union[models], Field(discriminator="type")]  # noqa: UP007


def part_model(name: str, cls: Callable[..., Any], arguments: type[BaseModel]) -> type[Part]:
    """The `{"type": name, "args": arguments}` model that builds `cls`."""
    fields: dict[str, Any] = {
        "type": (Literal[name], ...),
        "args": (arguments, Field(default_factory=dict, validate_default=True, description="its arguments")),
    }
    doc = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    model = create_model(f"{name}Part", __base__=Part, __doc__=doc, **fields)
    model.cls = cls
    return model


def arguments_of(cls: type, among: Names = None) -> type[BaseModel]:
    """A strict model of the constructor's configurable parameters, with descriptions from the docstring's `Args:`.

    A constructor whose only configurable parameter is `settings: S`, of a Settings class S, has the fields of S as arguments.

    among: the classes that parts within these arguments may be of.
    """
    if issubclass(cls, BaseModel):
        return cls
    fields: dict[str, Any] = {}
    if (settings := settings_of(cls)) is not None:
        for name, field in settings.model_fields.items():
            annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            default = Field(default=field.default, description=field.description)
            fields[name] = (configurable(annotation, among), default)
        return create_model(f"{cls.__name__}Args", __base__=settings, **fields)
    docs = argument_docs(cls)
    for name, (annotation, default) in _parameters(cls).items():
        if annotation in INJECTED:
            continue
        default = ... if default is inspect.Parameter.empty else default
        fields[name] = (configurable(annotation, among), Field(default=default, description=docs.get(name)))
    return create_model(f"{cls.__name__}Args", __base__=Settings, **fields)


def settings_of(cls: Callable[..., Any]) -> type[Settings] | None:
    """Return the Settings class of a constructor whose only configurable parameter is `settings`, None for any other."""
    if not isinstance(cls, type) or issubclass(cls, BaseModel):
        return None
    annotations = {name: annotation for name, (annotation, _) in _parameters(cls).items() if annotation not in INJECTED}
    kind = annotations.pop("settings", None)
    return kind if not annotations and isinstance(kind, type) and issubclass(kind, Settings) else None


def configurable(annotation: Any, among: Names = None) -> Any:
    """The annotation with every registered base class in it replaced by the parts that may stand there."""
    if isinstance(annotation, type) and annotation in _by_base:
        return _by_base[annotation].annotation(among)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(configurable(args[0], among), *args[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(configurable(arg, among) for arg in args)]  # noqa: UP007
    if origin in (list, dict, tuple):
        return origin[tuple(configurable(arg, among) for arg in args)]
    return annotation


def argument_docs(cls: object) -> dict[str, str]:
    """`name: text` or `name (type): text` entries below `Args:` in the docstring; further lines are indented more."""
    doc = inspect.getdoc(cls) or ""
    block = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+)(?: \([^\n]*?\))?: (.*(?:\n {6,}.*)*)", block[1], re.MULTILINE) if block else []
    return {name: " ".join(text.split()) for name, text in entries}


def import_all(*packages: str) -> None:
    """Import every module of these packages, so that their classes are registered."""
    for package in map(importlib.import_module, packages):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)


def _parameters(cls: type) -> dict[str, tuple[Any, Any]]:
    constructor = inspect.getattr_static(cls, "__init__")
    if constructor is object.__init__:
        return {}
    hints = get_type_hints(constructor, include_extras=True)
    parameters = list(inspect.signature(cls).parameters.values())
    return {p.name: (hints.get(p.name, inspect.Parameter.empty), p.default) for p in parameters}


def _check_constructor(cls: type) -> None:
    if issubclass(cls, BaseModel):
        return
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise TypeError(f"{cls.__name__}: a registered constructor names its arguments; found {parameter}")
        if parameter.annotation is parameter.empty:
            raise TypeError(f"{cls.__name__}: argument {parameter.name} needs a type")


def _build(value: Any, injected: tuple[object, ...]) -> Any:
    if isinstance(value, Part):
        return value.build(*injected)
    if isinstance(value, list | tuple):
        return type(value)(_build(item, injected) for item in value)
    if isinstance(value, dict):
        return {key: _build(item, injected) for key, item in value.items()}
    return value


def _injections(cls: Callable[..., Any], injected: tuple[object, ...]) -> dict[str, object]:
    wanted = {name: kind for name, (kind, _) in _parameters(cls).items() if kind in INJECTED} if isinstance(cls, type) else {}
    given = {type(value): value for value in injected}
    if missing := [kind.__name__ for kind in wanted.values() if kind not in given]:
        raise TypeError(f"{getattr(cls, '__name__', cls)}: classes of its kind are not given a {missing[0]}")
    return {name: given[kind] for name, kind in wanted.items()}
