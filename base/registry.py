"""Register classes: a config can name only registered classes, with the arguments that their constructors declare."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from base.contracts import DataSpec, Given
from utils.validate import Settings

T = TypeVar("T")
SETTINGS = "settings"  # the parameter by which a constructor takes all that a config says in one object
TypeNames = frozenset[str] | None  # the registered classes that a config names; None for all registered classes

_by_base: dict[type, Registry[Any]] = {}
failed: dict[str, str] = {}  # module that `import_all` could not import -> the reason, with file and line


class AnyPart(Settings):
    """A place of a config that names a registered class and gives its arguments."""

    cls: ClassVar[Callable[..., Any]]
    registry: ClassVar[Registry[Any] | None] = None
    place: ClassVar[tuple[str, ...]]  # the key of the arguments, below the key of the part
    type: str

    @property
    def arguments(self) -> Any:
        """The checked arguments, a Settings object."""
        raise NotImplementedError

    def build(self, *given: object) -> Any:
        """Return an instance: nested parts are built first, and `given` goes to the parameters of these types."""
        if isinstance(self.cls, type) and isinstance(self.arguments, self.cls):
            return self.arguments  # a class of settings is its own argument model
        settings = settings_of(self.cls)
        fields = (settings or type(self.arguments)).model_fields
        values = {name: _build(getattr(self.arguments, name), given) for name, field in fields.items() if not field.exclude}
        if settings is not None:
            values = {SETTINGS: settings.model_construct(**values)}  # checked as the arguments, parts not yet built
        return self.cls(**values, **_injections(self.cls, given))


class Part(AnyPart):
    """The part `{"type": name of a registered class, "args": {…}}`, checked against the constructor of the class."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    place: ClassVar[tuple[str, ...]] = ("args",)
    args: Any

    @property
    def arguments(self) -> Any:
        """The value of `args`."""
        return self.args


class FlatPart(AnyPart):
    """The part `{"type": name of a registered class, …}` with the arguments beside the name; the part itself is the settings."""

    place: ClassVar[tuple[str, ...]] = ()

    @property
    def arguments(self) -> Any:
        """The part itself."""
        return self


class Checked:
    """A registered class that can report problems between arguments that are valid one by one."""

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Return a (key below `args`, message) pair for each problem. Reads no file.

        spec: the facts about the data that the config contains.
        """
        return ()


class Registry(Generic[T]):
    """The classes that a config may name at one place.

    Registering refuses a name that is taken, a class that does not derive from the base or leaves a method abstract, and a
    constructor with `*args`, `**kwargs` or an argument without a type. Otherwise these would fail later, during a run.

    flat: whether a config gives the arguments beside `type` instead of below `args`; each class then takes one `settings`.
    """

    def __init__(self, noun: str, base: type[T], flat: bool = False) -> None:
        self.noun, self.base, self.flat = noun, base, flat
        self.classes: dict[str, type[T]] = {}
        self._tasks: dict[str, frozenset[str]] = {}
        self._parts: dict[tuple[str, TypeNames], type[AnyPart]] = {}
        _by_base[base] = self

    def register(self, *tasks: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that registers the class. tasks: the tasks of the class; none means all tasks.

        The decorator raises TypeError for a class that cannot be registered.
        """

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
            if self.flat and settings_of(cls) is None:
                raise TypeError(f"{self.noun} {name}: the constructor takes one argument of the config, `settings: …Settings`")
            self.classes[name] = cls
            self._tasks[name] = frozenset(tasks)
            self.forget()
            return cls

        return add

    def tasks(self, name: str) -> frozenset[str]:
        """Return the tasks of a class; an empty set means all tasks."""
        return self._tasks.get(name, frozenset())

    @property
    def names(self) -> list[str]:
        """The names of the classes: the allowed values of `type`."""
        return sorted(self.classes)

    @property
    def parts(self) -> dict[str, type[AnyPart]]:
        """The models by class name; a model validates a part of a config that names its class."""
        return {name: self.part(name) for name in self.names}

    def part(self, name: str, among: TypeNames = None) -> type[AnyPart]:
        """Return the model of a class. among: the class names that parts inside it may have."""
        if (name, among) not in self._parts:
            self._parts[name, among] = self.make_part(name, among)
            self._parts[name, among].registry = self
        return self._parts[name, among]

    def make_part(self, name: str, among: TypeNames) -> type[AnyPart]:
        """Make the model that `part` keeps."""
        cls = self.classes[name]
        arguments = arguments_of(cls, among)
        return (flat_part_model if self.flat else part_model)(name, cls, arguments)

    def forget(self) -> None:
        """Forget all models, so that they are made again from the classes that are registered by then."""
        self._parts.clear()

    def annotation(self, among: TypeNames = None, kind: type | None = None) -> Any:
        """Return the type of a config key that holds one part of this registry.

        kind: a base class that the parts are derived from; None for all parts.
        """
        names = [name for name in self.names if kind in (None, self.base) or issubclass(self.classes[name], kind)]
        named = [name for name in names if among is None or name in among]
        # If the config names no class of this kind, any class serves: nothing in the config has to match it.
        return union_of(self.part(name, among) for name in named or names[:1])


def named(values: Any) -> frozenset[str]:
    """Return every value of a key `type` in a config's values, at every depth."""
    below = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    own = values.get("type") if isinstance(values, dict) else None
    return frozenset().union([own] if isinstance(own, str) else (), *map(named, below))


def registries() -> list[Registry[Any]]:
    """Return all registries, in order of their nouns."""
    return sorted(_by_base.values(), key=lambda registry: registry.noun)


def union_of(parts: Iterable[type[BaseModel]]) -> Any:
    """Return an annotation that allows any of several models; `type` decides between them."""
    models = tuple(parts)
    return models[0] if len(models) == 1 else Annotated[Union[models], Field(discriminator="type")]  # noqa: UP007


def part_model(name: str, cls: Callable[..., Any], arguments: type[BaseModel]) -> type[Part]:
    """Return the model of `{"type": name, "args": arguments}` that builds `cls`."""
    fields: dict[str, Any] = {
        "type": (Literal[name], ...),
        "args": (arguments, Field(default_factory=dict, validate_default=True, description="its arguments")),
    }
    model = create_model(f"{name}Part", __base__=Part, __doc__=_summary(cls), **fields)
    model.cls = cls
    return model


def flat_part_model(name: str, cls: type, settings: type[BaseModel]) -> type[FlatPart]:
    """Return the model of `{"type": name, …}`, with the keys of `settings` beside the name, that builds `cls`."""
    fields: dict[str, Any] = {"type": (Literal[name], ...)}
    bases: Any = (settings, FlatPart)
    model: type[FlatPart] = create_model(f"{name}Part", __base__=bases, __doc__=_summary(cls), **fields)
    model.cls = cls
    return model


def _summary(cls: Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def arguments_of(cls: type, among: TypeNames = None) -> type[BaseModel]:
    """Return a strict model of the constructor's configurable parameters.

    If the only configurable parameter is `settings: S`, of a Settings class S, the arguments are the fields of S.

    among: the class names that parts inside the arguments may have.
    """
    if issubclass(cls, BaseModel):
        return cls
    fields: dict[str, Any] = {}
    if (settings := settings_of(cls)) is not None:
        for name, field in settings.model_fields.items():
            annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            made: Any = {"default_factory": field.default_factory} if field.default_factory else {"default": field.default}
            fields[name] = (configurable(annotation, among), Field(**made, description=field.description))
        return create_model(f"{cls.__name__}Args", __base__=settings, **fields)
    for name, (annotation, default) in _configurable(cls).items():
        default = ... if default is inspect.Parameter.empty else default
        fields[name] = (configurable(annotation, among), Field(default=default))
    return create_model(f"{cls.__name__}Args", __base__=Settings, **fields)


def configurable(annotation: Any, among: TypeNames = None) -> Any:
    """Return the annotation with every registered base class in it replaced by the parts that are allowed there."""
    if (registry := _registry_of(annotation)) is not None:
        return registry.annotation(among, annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(configurable(args[0], among), *args[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(configurable(arg, among) for arg in args)]  # noqa: UP007
    if origin in (list, dict, tuple):
        return origin[tuple(configurable(arg, among) for arg in args)]
    return annotation


def _registry_of(annotation: Any) -> Registry[Any] | None:
    """Return the registry of the annotation's base class; None if no base class has a registry."""
    bases = annotation.__mro__ if isinstance(annotation, type) else ()
    return next((_by_base[base] for base in bases if base in _by_base), None)


def import_all(*packages: str) -> None:
    """Import every module of the packages whose name does not begin with `_`, so that their classes are registered.

    A module that fails is left out, with a warning: a config that names none of its classes needs it not.
    """
    for package in map(importlib.import_module, packages):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None):
            if not module.name.rpartition(".")[2].startswith("_") and module.name not in failed:
                _import(module.name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # whatever a user's file does
        failed[name] = _reason(error, name)
        print(f"warning: {name.replace('.', '/')}.py: left out, since it cannot be imported ({failed[name]})", file=sys.stderr)


def _reason(error: Exception, name: str) -> str:
    """Return an error of an import in words, with the last line of the module's own file that was run."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}, line {error.lineno}"
    file = (importlib.util.find_spec(name) or importlib.machinery.ModuleSpec(name, None)).origin
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}" + (f", line {lines[-1]}" if lines else "")


def settings_of(cls: Callable[..., Any]) -> type[Settings] | None:
    """Return the Settings class of a constructor whose only configurable parameter is `settings`, None for any other."""
    if not isinstance(cls, type) or issubclass(cls, BaseModel):
        return None
    parameters = _configurable(cls)
    kind = parameters.get(SETTINGS, (None, None))[0]
    return kind if len(parameters) == 1 and isinstance(kind, type) and issubclass(kind, Settings) else None


def _configurable(cls: type) -> dict[str, tuple[Any, Any]]:
    """Return the parameters of a constructor that come from the config: name -> annotation and default."""
    return {name: (kind, default) for name, (kind, default) in _parameters(cls).items() if not _is_given(kind)}


def _is_given(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Given)


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
    if isinstance(value, AnyPart):
        return value.build(*injected)
    if isinstance(value, list | tuple):
        return type(value)(_build(item, injected) for item in value)
    if isinstance(value, dict):
        return {key: _build(item, injected) for key, item in value.items()}
    return value


def _injections(cls: Callable[..., Any], injected: tuple[object, ...]) -> dict[str, object]:
    parameters = _parameters(cls) if isinstance(cls, type) else {}
    wanted = {name: kind for name, (kind, _) in parameters.items() if _is_given(kind)}
    given = {type(value): value for value in injected}
    if missing := [kind.__name__ for kind in wanted.values() if kind not in given]:
        raise TypeError(f"{getattr(cls, '__name__', cls)}: classes of its kind are not given a {missing[0]}")
    return {name: given[kind] for name, kind in wanted.items()}
