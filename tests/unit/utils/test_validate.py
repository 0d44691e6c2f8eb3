"""Test the messages for config values that are not valid."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from utils.config import ConfigError, RawConfig
from utils.validate import Hints, Settings, validate


class Leaf(Settings):
    """A group within a group."""

    count: Annotated[int, Field(ge=1)] = 1
    mode: Literal["fast", "slow"] = "fast"
    name: Annotated[str, Field(pattern="^[a-z]+$", description="small letters")] = "a"
    pair: tuple[int, int] = (1, 2)
    either: list[int] | Literal["all"] | None = None


class One(Settings):
    type: Literal["One"]
    args: Leaf = Leaf()


class Two(Settings):
    type: Literal["Two"]
    args: Leaf


class Whole(Settings):
    """A config with keys of every kind."""

    needed: int
    leaf: Leaf = Leaf()
    part: Annotated[One | Two, Field(discriminator="type")] | None = None
    parts: list[Annotated[One | Two, Field(discriminator="type")]] = []
    named: dict[str, Leaf] = {}


def lines(values: dict[str, Any], **origins: str) -> list[str]:
    """Return the error message for `values`; all other keys are given."""
    raw = RawConfig({"needed": 1, **values}, "a.json", {(key,): file for key, file in origins.items()})
    with pytest.raises(ConfigError) as error:
        validate(Whole, raw, Hints({"old_key": "use leaf.count"}))
    return str(error.value).splitlines()


def test_a_valid_config_becomes_an_instance_of_its_model() -> None:
    whole = validate(Whole, RawConfig({"needed": 1, "parts": [{"type": "One"}]}, "a.json"))
    assert whole == Whole(needed=1, parts=[One(type="One")])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"leaf": {"cuont": 1}}, 'leaf.cuont: unknown key (did you mean "count"?)'),
        ({"leaf": {"zzzzzz": 1}}, "leaf.zzzzzz: unknown key; allowed: count, either, mode, name, pair"),
        ({"old_key": 1}, "old_key: is a key of older templates; use leaf.count"),
        ({"leaf": {"count": 0}}, "leaf.count: found 0; allowed: greater than or equal to 1"),
        ({"leaf": {"count": "4"}}, 'leaf.count: found "4"; allowed: integer'),
        ({"leaf": {"count": 1.5}}, "leaf.count: found 1.5; allowed: integer"),
        ({"leaf": {"count": True}}, "leaf.count: found true; allowed: integer"),
        ({"leaf": {"count": None}}, "leaf.count: found null; allowed: integer"),
        ({"leaf": {"mode": "fats"}}, "leaf.mode: found \"fats\" (did you mean \"fast\"?); allowed: 'fast' or 'slow'"),
        ({"leaf": {"mode": 3}}, "leaf.mode: found 3; allowed: 'fast' or 'slow'"),
        ({"leaf": {"name": "A b"}}, "leaf.name: found \"A b\"; allowed: text that matches '^[a-z]+$' (small letters)"),
        ({"leaf": {"pair": [1]}}, "leaf.pair[1]: is missing, and has no default"),
        ({"leaf": {"pair": [1, 2, 3]}}, "leaf.pair: found [1, 2, 3]; allowed: a tuple with at most 2 items"),
        ({"leaf": {"either": "al"}}, 'leaf.either: found "al" (did you mean "all"?); allowed: list, or \'all\''),
        ({"leaf": {"either": [1, "x"]}}, 'leaf.either[1]: found "x"; allowed: integer'),
        ({"leaf": 3}, "leaf: found 3; allowed: object"),
        ({"leaf": []}, "leaf: found []; allowed: object"),
        ({"part": {"type": "Tow"}}, 'part.type: unknown type "Tow" (did you mean "Two"?); allowed: One, Two'),
        ({"part": {"type": None}}, "part.type: unknown type null; allowed: One, Two"),
        ({"part": {"type": ["One"]}}, 'part.type: unknown type ["One"]; allowed: One, Two'),
        ({"part": {}}, "part.type: is missing; allowed: One, Two"),
        ({"part": {"args": {}}}, "part.type: is missing; allowed: One, Two"),
        ({"part": {"tpye": "One"}}, 'part.tpye: unknown key (did you mean "type"?)'),
        ({"part": {"type": "Two"}}, "part.args: is missing, and has no default"),
        ({"part": {"type": "One", "agrs": {}}}, 'part.agrs: unknown key (did you mean "args"?)'),
        ({"part": {"type": "One", "args": {"cont": 1}}}, 'part.args.cont: unknown key (did you mean "count"?)'),
        ({"part": "One"}, 'part: found "One"; allowed: object'),
        ({"parts": [{"type": "One"}, {"type": "Three"}]}, 'parts[1].type: unknown type "Three"; allowed: One, Two'),
        ({"parts": {}}, "parts: found {}; allowed: list"),
        ({"parts": [3]}, "parts[0]: found 3; allowed: object"),
        ({"named": {"x": {"mode": "slwo"}}}, "named.x.mode: found \"slwo\" (did you mean \"slow\"?); allowed: 'fast' or 'slow'"),
        ({"needed": "x" * 99}, f'needed: found "{"x" * 56}…; allowed: integer'),
    ],
)  # fmt: skip
def test_a_problem_is_one_line_with_key_found_value_and_allowed_values(values: dict[str, Any], said: str) -> None:
    assert lines(values) == [f"a.json: {said}"]


def test_all_problems_are_reported_at_once() -> None:
    assert len(lines({"leaf": {"count": 0, "mode": "x", "oops": 1}, "named": {"a": {"count": 0}}})) == 4


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^a.json: needed: is missing, and has no default$"):
        validate(Whole, RawConfig({}, "a.json"))


def test_a_key_that_is_given_already_is_not_suggested() -> None:
    assert lines({"leaf": {"mode": "fast", "node": 1}}) == ['a.json: leaf.node: unknown key (did you mean "name"?)']


def test_a_problem_names_the_file_of_its_key() -> None:
    assert lines({"leaf": {"count": 0}}, leaf="parent.json") == [
        "parent.json: leaf.count: found 0; allowed: greater than or equal to 1"
    ]
