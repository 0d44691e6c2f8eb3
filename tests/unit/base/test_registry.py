"""Test registering: which classes are refused, and how arguments are described, checked and built."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, ValidationError, model_validator

from base import registry as registry_module
from base.contracts import DataSpec, RunContext
from base.registry import Registry, arguments_of, import_all, named, registries, settings_of, union_of
from utils.validate import Settings


class Base(ABC):
    """What every thing does."""

    @abstractmethod
    def act(self) -> str:
        """Something."""


class Tool:
    """A thing within things."""


class Acting(Base):
    """A whole thing."""

    def act(self) -> str:
        return "acts"


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """Make a registry of things and a registry of tools for the test."""
    monkeypatch.setattr(registry_module, "_by_base", dict(registry_module._by_base))
    tools: Registry[Any] = Registry("tool", Tool)
    tools.register()(Hammer)
    tools.register()(Saw)
    return Registry("thing", Base)


class Hammer(Tool):
    """Hits."""

    def __init__(self, weight: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.weight = weight


class Saw(Tool):
    """Cuts."""


class Worker(Acting):
    """Works with tools.

    Longer words on it.
    """

    def __init__(
        self,
        spec: DataSpec,
        hours: Annotated[int, Field(description="how long, in hours")],
        tool: Annotated[Tool, Field(description="what with")] = Saw(),  # noqa: B008
        spare: Tool | None = None,
        crew: Annotated[dict[str, list[Tool]], Field(description="who")] = {},  # noqa: B006
        pair: tuple[Tool, Tool] | None = None,
        context: RunContext = RunContext(seed=5),  # noqa: B008
        mode: Literal["a", "b"] = "a",
    ) -> None:
        self.spec, self.hours, self.tool, self.spare, self.crew, self.pair = spec, hours, tool, spare, crew, pair
        self.context, self.mode = context, mode


def made(registry: Registry[Any], args: dict[str, Any]) -> Any:
    return registry.parts["Worker"](type="Worker", args=args).build(DataSpec(), RunContext(seed=7))


# Refused classes ----------------------------------------------------------------------------------------------------


def test_a_name_taken_twice_is_refused_with_both_modules(things: Registry[Any]) -> None:
    things.register()(Acting)
    twin = type("Acting", (Acting,), {"__module__": "elsewhere"})
    with pytest.raises(TypeError, match=rf"^thing Acting is registered twice: in {__name__}, elsewhere$"):
        things.register()(twin)
    assert things.classes["Acting"] is Acting


def test_a_class_of_a_foreign_base_is_refused(things: Registry[Any]) -> None:
    with pytest.raises(TypeError, match=r"^thing Hammer must derive from Base$"):
        things.register()(Hammer)


def test_a_class_that_leaves_a_method_abstract_is_refused(things: Registry[Any]) -> None:
    with pytest.raises(TypeError, match=r"^thing Idle does not define act$"):

        @things.register()
        class Idle(Base):
            pass


@pytest.mark.parametrize("parameters", ["**kwargs", "*args", "a: int, *args: int", "a: int = 1, **kwargs: int"])
def test_a_constructor_with_args_or_kwargs_is_refused(things: Registry[Any], parameters: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def __init__(self, {parameters}): pass", scope)
    with pytest.raises(TypeError, match=r"^Greedy: a registered constructor names its arguments; found \*"):
        things.register()(type("Greedy", (Acting,), {"__init__": scope["__init__"]}))


def test_an_argument_without_a_type_is_refused(things: Registry[Any]) -> None:
    def constructor(self: Any, a: int, b=2) -> None:  # type: ignore[no-untyped-def]
        pass

    with pytest.raises(TypeError, match=r"^Vague: argument b needs a type$"):
        things.register()(type("Vague", (Acting,), {"__init__": constructor}))


def test_a_refused_class_is_not_registered(things: Registry[Any]) -> None:
    with pytest.raises(TypeError):
        things.register()(Hammer)
    assert things.classes == {}


# Descriptions -------------------------------------------------------------------------------------------------------


def test_arguments_have_the_descriptions_of_their_annotations(things: Registry[Any]) -> None:
    described = {name: field.description for name, field in arguments_of(Worker).model_fields.items()}
    assert described == {
        "hours": "how long, in hours",
        "tool": "what with",
        "spare": None,
        "crew": "who",
        "pair": None,
        "mode": None,
    }


def test_injected_parameters_are_no_arguments_of_the_config(things: Registry[Any]) -> None:
    fields = arguments_of(Worker).model_fields
    assert list(fields) == ["hours", "tool", "spare", "crew", "pair", "mode"]
    assert fields["hours"].is_required() and fields["hours"].description == "how long, in hours"


def test_the_docstring_of_a_part_is_the_first_paragraph_of_its_class(things: Registry[Any]) -> None:
    things.register()(Worker)
    assert things.parts["Worker"].__doc__ == "Works with tools."


def test_registries_are_listed_by_noun(things: Registry[Any]) -> None:
    nouns = [registry.noun for registry in registries()]
    assert nouns == sorted(nouns) and {"thing", "tool"} <= set(nouns)


def test_a_class_registered_later_is_a_part_too(things: Registry[Any]) -> None:
    things.register()(Acting)
    assert list(things.parts) == ["Acting"]
    things.register()(Worker)
    assert list(things.parts) == ["Acting", "Worker"]


def test_a_class_serves_the_given_tasks_or_all(things: Registry[Any]) -> None:
    things.register("one", "two")(Worker)
    things.register()(Acting)
    assert (things.tasks("Worker"), things.tasks("Acting"), things.tasks("Nobody")) == ({"one", "two"}, set(), set())


def test_a_union_of_one_model_has_no_discriminator() -> None:
    assert union_of([Settings]) is Settings


# Models for one config ----------------------------------------------------------------------------------------------


def test_named_returns_the_types_at_every_depth() -> None:
    values = {"type": "A", "args": {"type": 3, "parts": [{"type": "B"}, [{"type": "C"}], "type"]}, "other": {"x": {"type": "D"}}}
    assert named(values) == {"A", "B", "C", "D"}


def test_models_are_made_only_for_classes_that_the_config_names(things: Registry[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    things.register()(Worker)
    things.register()(Acting)
    made_for: list[str] = []
    make = registry_module.part_model
    monkeypatch.setattr(registry_module, "part_model", lambda name, *rest: (made_for.append(name), make(name, *rest))[1])
    part = things.annotation(frozenset({"Worker", "Saw", "Axe"}))
    assert sorted(made_for) == ["Saw", "Worker"]
    worker = part(type="Worker", args={"hours": 1, "tool": {"type": "Saw"}}).build(DataSpec(), RunContext(seed=7))
    assert isinstance(worker.tool, Saw)


@pytest.mark.parametrize("tool", [{"type": "Hammer"}, {"type": "Axe"}, {}, {"type": ""}, None, 3])
def test_a_part_of_an_unnamed_class_is_refused(things: Registry[Any], tool: Any) -> None:
    things.register()(Worker)
    part = things.annotation(frozenset({"Worker", "Saw"}))
    with pytest.raises(ValidationError):
        part(type="Worker", args={"hours": 1, "tool": tool})


def test_defaults_are_used_if_no_class_is_named(things: Registry[Any]) -> None:
    things.register()(Worker)
    worker = things.annotation(frozenset({"Worker"}))(type="Worker", args={"hours": 1}).build(DataSpec(), RunContext(seed=7))
    assert isinstance(worker.tool, Saw) and worker.spare is None


# Checking and building ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        {}, {"hours": "3"}, {"hours": 1, "hour": 2}, {"hours": 1, "mode": "c"}, {"hours": 1, "spec": {}},
        {"hours": 1, "tool": {}},
        {"hours": 1, "tool": {"type": "Axe"}}, {"hours": 1, "tool": {"type": "Hammer", "args": {"weight": 0}}},
        {"hours": 1, "tool": None}, {"hours": 1, "crew": {"a": {"type": "Saw"}}}, {"hours": 1, "context": {}},
    ],
)  # fmt: skip
def test_arguments_that_the_constructor_would_not_take_are_refused(things: Registry[Any], args: dict[str, Any]) -> None:
    things.register()(Worker)
    with pytest.raises(ValidationError):
        made(things, args)


def test_nested_parts_are_built_at_every_place(things: Registry[Any]) -> None:
    things.register()(Worker)
    hammer = {"type": "Hammer", "args": {"weight": 2.0}}
    worker = made(
        things,
        {
            "hours": 1,
            "tool": hammer,
            "spare": {"type": "Saw"},
            "crew": {"a": [hammer, {"type": "Saw"}]},
            "pair": (hammer, hammer),
        },
    )
    assert worker.tool.weight == 2.0 and isinstance(worker.spare, Saw)
    assert [type(tool) for tool in (*worker.crew["a"], *worker.pair)] == [Hammer, Saw, Hammer, Hammer]


def test_injected_values_are_matched_by_type(things: Registry[Any]) -> None:
    things.register()(Worker)
    worker = made(things, {"hours": 1})
    assert worker.spec == DataSpec() and worker.context.seed == 7


def test_defaults_are_those_of_the_constructor(things: Registry[Any]) -> None:
    things.register()(Worker)
    worker = made(things, {"hours": 1})
    assert (type(worker.tool), worker.spare, worker.crew, worker.mode) == (Saw, None, {}, "a")


def test_a_class_without_a_constructor_takes_nothing(things: Registry[Any]) -> None:
    things.register()(Acting)
    part = things.parts["Acting"]
    assert part(type="Acting").build().act() == "acts"
    with pytest.raises(ValidationError):
        part(type="Acting", args={"a": 1})


def test_a_settings_class_is_its_own_argument_model(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rates(Settings):
        lr: float = 1.0

    monkeypatch.setattr(registry_module, "_by_base", dict(registry_module._by_base))
    rates: Registry[Any] = Registry("rates", Rates)
    rates.register()(type("Own", (Rates,), {"__doc__": "Rates of one's own."}))
    assert rates.parts["Own"](type="Own", args={"lr": 2.0}).build().lr == 2.0


# One settings object instead of many arguments ---------------------------------------------------------------------


class ShiftSettings(Settings):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    hours: Annotated[int, Field(ge=1)] = Field(description="how long, in hours")
    tool: Tool = Field(default=Saw(), description="what with")
    crew: Annotated[list[Tool], Field(max_length=2)] = Field(default=[], description="who")

    @model_validator(mode="after")
    def _not_alone(self) -> ShiftSettings:
        if self.hours > 8 and not self.crew:
            raise ValueError("a crew, for more than 8 hours")
        return self


class Shift(Acting):
    """Works by its settings."""

    def __init__(self, context: RunContext, settings: ShiftSettings) -> None:
        self.context, self.settings = context, settings


def shift(things: Registry[Any], args: dict[str, Any]) -> Any:
    if "Shift" not in things.classes:
        things.register()(Shift)
    return things.parts["Shift"](type="Shift", args=args).build(DataSpec(), RunContext(seed=7))


class RotaSettings(Settings):
    days: list[str] = Field(default_factory=lambda: ["Monday"], description="when")


class Rota(Acting):
    """Works on some days."""

    def __init__(self, settings: RotaSettings) -> None:
        self.settings = settings


def test_a_default_that_a_function_makes_stays_a_default(things: Registry[Any]) -> None:
    things.register()(Rota)
    assert things.parts["Rota"](type="Rota").build().settings.days == ["Monday"]


def test_the_fields_of_a_settings_object_are_the_arguments_with_their_descriptions(things: Registry[Any]) -> None:
    fields = arguments_of(Shift).model_fields
    assert {name: field.description for name, field in fields.items()} == {
        "hours": "how long, in hours", "tool": "what with", "crew": "who"
    }  # fmt: skip
    assert fields["hours"].is_required() and not fields["crew"].is_required()


def test_the_settings_object_holds_built_parts_and_defaults(things: Registry[Any]) -> None:
    made = shift(things, {"hours": 3, "crew": [{"type": "Hammer", "args": {"weight": 2.0}}]})
    assert type(made.settings) is ShiftSettings and made.context.seed == 7
    assert (made.settings.hours, type(made.settings.tool), made.settings.crew[0].weight) == (3, Saw, 2.0)


@pytest.mark.parametrize(
    "args",
    [
        {}, {"hours": 0}, {"hours": "1"}, {"hours": 1, "hour": 2}, {"hours": 1, "tool": {"type": "Axe"}}, {"hours": 9},
        {"hours": 1, "crew": [{"type": "Saw"}] * 3}, {"hours": 1, "settings": {}}, {"settings": {"hours": 1}},
    ],
)  # fmt: skip
def test_arguments_that_the_settings_would_not_take_are_refused(things: Registry[Any], args: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shift(things, args)


def test_settings_beside_another_argument_are_an_argument_themselves() -> None:
    class Both(Acting):
        def __init__(self, settings: ShiftSettings, more: int = 1) -> None:
            pass

    assert settings_of(Both) is None and settings_of(Worker) is None and settings_of(Shift) is ShiftSettings
    assert list(arguments_of(Both).model_fields) == ["settings", "more"]


# Arguments beside the type ------------------------------------------------------------------------------------------


class Hours(Settings):
    """When somebody works."""

    hours: int
    night: bool = False


class Settled(Acting):
    """Takes one object."""

    def __init__(self, settings: Hours, spec: DataSpec) -> None:
        self.settings, self.spec = settings, spec


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """A registry whose arguments stand beside the type."""
    monkeypatch.setattr(registry_module, "_by_base", dict(registry_module._by_base))
    registry: Registry[Any] = Registry("thing", Base, flat=True)
    registry.register()(Settled)
    return registry


def test_the_arguments_of_a_flat_registry_stand_beside_the_type(flat: Registry[Any]) -> None:
    part = flat.parts["Settled"](type="Settled", hours=3)
    built = part.build(DataSpec())
    assert (list(type(part).model_fields), type(part).__doc__) == (["type", "hours", "night"], "Takes one object.")
    assert isinstance(built, Settled) and (built.settings.hours, built.settings.night) == (3, False)


@pytest.mark.parametrize("keys", [{}, {"hours": 1, "args": {}}, {"hours": 1, "spec": {}}, {"hours": "1"}])
def test_a_flat_part_refuses_what_its_settings_refuse(flat: Registry[Any], keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        flat.parts["Settled"](type="Settled", **keys)


def test_a_class_of_a_flat_registry_takes_one_settings_object(flat: Registry[Any]) -> None:
    with pytest.raises(TypeError, match=r"^thing Worker: the constructor takes one argument of the config, `settings: "):
        flat.register()(Worker)
    assert list(flat.classes) == ["Settled"]


# A place for one kind of a registry's classes ------------------------------------------------------------------------


class Blade(Tool):
    """A tool that cuts."""


class Knife(Blade):
    """Cuts bread."""


class Baker(Acting):
    """Needs something that cuts."""

    def __init__(self, blade: Blade) -> None:
        self.blade = blade


def test_a_place_that_asks_for_a_derived_class_takes_the_classes_derived_from_it(things: Registry[Any]) -> None:
    registry_module._by_base[Tool].register()(Knife)
    things.register()(Baker)
    baker = things.parts["Baker"](type="Baker", args={"blade": {"type": "Knife"}}).build()
    assert isinstance(baker.blade, Knife)
    with pytest.raises(ValidationError):
        things.parts["Baker"](type="Baker", args={"blade": {"type": "Hammer"}})


# Imports ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write a package that holds a package with a module, and a private module."""
    for name in ("garden/__init__.py", "garden/beds/__init__.py", "garden/beds/rose.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "garden" / "_shed.py").write_text("raise AssertionError('private')")
    monkeypatch.syspath_prepend(tmp_path)
    yield "garden"
    for name in [name for name in sys.modules if name.partition(".")[0] == "garden"]:
        del sys.modules[name]


def test_every_public_module_is_imported(package: str) -> None:
    import_all(package)
    assert "garden.beds.rose" in sys.modules and "garden._shed" not in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax, line 2"),
        ("x = 1\nimport nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all', line 2"),
        ("x = 1\n\nx.y()\n", "AttributeError: 'int' object has no attribute 'y', line 3"),
    ],
)
def test_a_module_that_fails_is_left_out_with_a_warning_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    package = f"orchard{abs(hash(text))}"
    (tmp_path / package).mkdir()
    for name, content in (("__init__", ""), ("apple", text), ("pear", "")):
        (tmp_path / package / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry_module, "failed", {})
    import_all(package)
    import_all(package)
    assert registry_module.failed == {f"{package}.apple": reason} and f"{package}.pear" in sys.modules
    assert capsys.readouterr().err == f"warning: {package}/apple.py: left out, since it cannot be imported ({reason})\n"
