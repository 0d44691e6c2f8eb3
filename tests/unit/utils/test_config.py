"""Test reading a config: its syntax, `extends`, overrides, and the messages for wrong configs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from utils import config
from utils.config import ConfigError, Override, Problem, RawConfig

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function: `write("a.json", text or bytes or values)` writes a file and returns its path."""

    def to_file(name: str, content: str | bytes | dict[str, Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def refused(path: Path | str, *overrides: str) -> str:
    """Return the message with which a config is refused, without the folder."""
    with pytest.raises(ConfigError) as error:
        config.read(path, overrides)
    assert all(line.strip() for line in str(error.value).splitlines())
    return str(error.value).replace(f"{Path(path).parent}/", "")


# Content of a file --------------------------------------------------------------------------------------------------


def test_both_kinds_of_comments_are_left_out(write: Write) -> None:
    path = write("a.json", '// one\n{"a": 1, /* two\n lines */ "b": [2 // three\n]}')
    assert config.read(path).values == {"a": 1, "b": [2]}


def test_comment_marks_inside_text_are_kept(write: Write) -> None:
    path = write("a.json", r'{"a": "http://x /* y */", "b": "\"// z"}')
    assert config.read(path).values == {"a": "http://x /* y */", "b": '"// z'}


def test_comments_do_not_change_the_line_and_column_of_an_error(write: Write) -> None:
    assert "line 2, column 8:" in refused(write("a.json", "{ // one\n /* */ oops}"))


@pytest.mark.parametrize("text", ["{} /* open", "/*/ {}", '{"a": /* 1}'])
def test_a_comment_that_is_not_closed_is_refused(write: Write, text: str) -> None:
    assert "is not JSON" in refused(write("a.json", text))


@pytest.mark.parametrize("text", ['\\"' * 400_000, "/*" * 400_000, '"' * 400_001], ids=["quotes", "comments", "strings"])
def test_a_large_file_of_opened_quotes_or_comments_is_refused_at_once(write: Write, text: str) -> None:
    assert "is not JSON" in refused(write("a.json", text))


def test_a_byte_order_mark_is_left_out(write: Write) -> None:
    assert config.read(write("a.json", b'\xef\xbb\xbf{"a": 1}')).values == {"a": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.json: is empty"),
        (b" \n\t", "a.json: is empty"),
        (b'{"a": "\xff"}', "a.json: is not UTF-8 text (byte 7)"),
        (b"\xff\xfe{\x00}\x00", "a.json: is not UTF-8 text (byte 0)"),
        (b'{"a": 1} x', "a.json: line 1, column 10: is not JSON: extra data"),
        (b'{"a": 1,}', "a.json: line 1, column 9: is not JSON"),
        (b"{'a': 1}", "a.json: line 1, column 2: is not JSON"),
        (b'{\n"a" 1}', "a.json: line 2, column 5: is not JSON"),
        (b"[1]", "a.json: found [1]; a config is a JSON object {…}"),
        (b"NaN", 'a.json: found "NaN"; a config is a JSON object {…}'),
        (b'{"a": {"b": [1, NaN]}}', "a.json: a.b[1]: found NaN; allowed: finite numbers"),
        (b'{"a": -Infinity}', "a.json: a: found -Infinity; allowed: finite numbers"),
        (b'{"a": 1e999}', "a.json: a: found 1e999; allowed: finite numbers"),
        (b'{"a": 123456789012345678901234567890}', "a.json: a: found 12345678901234567890…; allowed: finite numbers, whole ones"),
        (b'{"a": "x\\u0000"}', 'a.json: a: found "x\\u0000"; allowed: text without NUL'),
        (b'{"a": "\\ud800"}', 'a.json: a: found "\\ud800"; allowed: text without NUL and without halves'),
        (b'{"a": {"\\udfff": 1}}', 'a.json: a: has the key "\\udfff"; allowed: text without NUL'),
    ],
)
def test_an_unusable_config_is_refused_in_one_line(write: Write, content: bytes, said: str) -> None:
    text = refused(write("a.json", content))
    assert text.startswith(said) and "\n" not in text


def test_a_number_of_many_digits_is_refused_without_being_read(write: Write) -> None:
    assert "a: found 99999999999999999999…" in refused(write("a.json", '{"a": ' + "9" * 5000 + "}"))


@pytest.mark.parametrize("number", [2**63 - 1, -(10**18), 0])
def test_integers_of_64_bits_are_kept(write: Write, number: int) -> None:
    assert config.read(write("a.json", {"a": number})).values == {"a": number}


def test_every_key_given_twice_is_named(write: Write) -> None:
    text = refused(write("a.json", '{"a": {"b": 1, "b": 1}, "c": [{"d": 1, "d": 2}], "a2": 1, "a2": 1}'))
    assert text.splitlines() == [f"a.json: {key}: is given twice; keep one" for key in ("a2", "a.b", "c[0].d")]


@pytest.mark.parametrize("depth", [60, 300, 980, 995, 1000, 100_000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(write: Write, depth: int, opened: str, closed: str) -> None:
    assert "nested" in refused(write("a.json", '{"a": ' + opened * depth + "1" + closed * depth + "}"))


def test_a_file_over_a_megabyte_is_refused(write: Write) -> None:
    assert refused(write("a.json", " " * 1_000_001 + "{}")) == "a.json: is over 1,000,000 bytes, which no config is"


def test_an_endless_file_is_refused() -> None:
    assert "is over 1,000,000 bytes" in refused("/dev/zero")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.json") == "none.json: cannot be read: No such file or directory"
    assert "cannot be read: Is a directory" in refused(tmp_path)


def test_the_schema_key_is_removed(write: Write) -> None:
    write("parent.json", {"$schema": "./schema.json", "a": 1})
    path = write("a.json", {"$schema": "./schema.json", "extends": "parent.json", "b": 2})
    assert config.read(path).values == {"a": 1, "b": 2}


def test_a_schema_that_is_no_text_is_refused(write: Write) -> None:
    assert refused(write("a.json", {"$schema": 3})) == "a.json: $schema: found 3; allowed: the file name of a JSON schema"


# Extending ----------------------------------------------------------------------------------------------------------


def test_objects_merge_and_everything_else_is_replaced(write: Write) -> None:
    write("parent.json", {"a": {"b": 1, "c": [1, 2]}, "d": 3})
    path = write("a.json", {"extends": "parent.json", "a": {"c": [4], "e": None}})
    assert config.read(path).values == {"a": {"b": 1, "c": [4], "e": None}, "d": 3}


def test_a_part_with_another_type_replaces_the_old_part(write: Write) -> None:
    write("parent.json", {"a": {"type": "X", "args": {"b": 1}}})
    path = write("a.json", {"extends": "parent.json", "a": {"type": "Y", "args": {"c": 2}}})
    assert config.read(path).values == {"a": {"type": "Y", "args": {"c": 2}}}


@pytest.mark.parametrize("part", [{"args": {"c": 2}}, {"type": "X", "args": {"c": 2}}])
def test_a_part_of_the_same_type_is_merged(write: Write, part: dict[str, Any]) -> None:
    write("parent.json", {"a": {"type": "X", "args": {"b": 1}}})
    path = write("a.json", {"extends": "parent.json", "a": part})
    assert config.read(path).values == {"a": {"type": "X", "args": {"b": 1, "c": 2}}}


def test_a_type_added_to_a_part_without_one_keeps_the_other_keys(write: Write) -> None:
    write("parent.json", {"a": {"b": 1}})
    path = write("a.json", {"extends": "parent.json", "a": {"type": "X"}})
    assert config.read(path).values == {"a": {"b": 1, "type": "X"}}


def test_a_later_parent_overrides_an_earlier_one_and_the_file_overrides_both(write: Write) -> None:
    write("one.json", {"a": 1, "b": 1, "c": 1})
    write("two.json", {"b": 2, "c": 2})
    assert config.read(write("a.json", {"extends": ["one.json", "two.json"], "c": 3})).values == {"a": 1, "b": 2, "c": 3}


def test_a_parent_path_is_relative_to_the_file_that_extends_it(write: Write) -> None:
    write("base/grandparent.json", {"a": 1})
    write("base/parent.json", {"extends": "grandparent.json", "b": 2})
    assert config.read(write("deep/a.json", {"extends": "../base/parent.json"})).values == {"a": 1, "b": 2}


def test_two_parents_may_extend_the_same_file(write: Write) -> None:
    write("top.json", {"a": 1})
    write("left.json", {"extends": "top.json", "b": 2})
    write("right.json", {"extends": "top.json", "c": 3})
    assert config.read(write("a.json", {"extends": ["left.json", "right.json"]})).values == {"a": 1, "b": 2, "c": 3}


def test_the_error_for_a_circle_lists_its_files(write: Write) -> None:
    write("b.json", {"extends": "c.json"})
    write("c.json", {"extends": "a.json"})
    text = refused(write("a.json", {"extends": "b.json"}))
    assert text == "c.json: extends: goes in a circle: a.json -> b.json -> c.json -> a.json"


def test_a_config_that_extends_itself_is_a_circle(write: Write) -> None:
    assert "goes in a circle: a.json -> a.json" in refused(write("a.json", {"extends": "./a.json"}))


def test_a_missing_parent_is_reported_in_the_file_that_extends_it(write: Write) -> None:
    write("faces.json", {})
    text = refused(write("a.json", {"extends": "faecs.json"}))
    assert text == 'a.json: extends: found "faecs.json" (did you mean "faces.json"?); there is no such file'


@pytest.mark.parametrize("name", ["none/none.json", "x" * 5000, "x" * 5000 + "/a.json", ".", "a.json/b.json"])
def test_a_parent_that_is_no_file_is_refused(write: Write, name: str) -> None:
    assert "a.json: extends: found" in refused(write("a.json", {"extends": name}))


@pytest.mark.parametrize("extends", [3, None, {}, [1], "", [""], [["a.json"]]])
def test_extends_takes_names_only(write: Write, extends: Any) -> None:
    assert "allowed: a file name, or a list of them" in refused(write("a.json", {"extends": extends}))


def test_a_problem_in_a_parent_names_the_parent(write: Write) -> None:
    write("parent.json", '{"a": NaN}')
    assert refused(write("a.json", {"extends": "parent.json"})).startswith("parent.json: a: found NaN")


def test_the_origin_of_every_key_is_its_file(write: Write) -> None:
    write("parent.json", {"a": {"b": 1, "c": {"type": "X", "old": 1}}})
    raw = config.read(write("a.json", {"extends": "parent.json", "a": {"d": 2, "c": {"type": "Y"}}}), ["a.e.f=1"])
    names = {key: Path(raw.origin(key)).name for key in [("a", "b"), ("a", "c", "type"), ("a", "c", "new"), ("a", "d"), ("z",)]}
    assert list(names.values()) == ["parent.json", "a.json", "a.json", "a.json", "a.json"]
    assert raw.origin(("a", "e", "f")) == "--set"


def test_the_origin_of_a_list_item_is_that_of_the_list(write: Write) -> None:
    write("parent.json", {"a": [{"b": 1}]})
    raw = config.read(write("a.json", {"extends": "parent.json"}))
    assert Path(raw.origin(("a", 0, "b"))).name == "parent.json"


# Overrides ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1), ("a=1e-3", 0.001), ("a=true", True), ("a=null", None), ("a=[1, 2]", [1, 2]), ('a={"b": 1}', {"b": 1}),
        ('a="1"', "1"), ("a=demo", "demo"), ("a=", ""), ("a=x=y", "x=y"),
        ("a=//server/data", "//server/data"), ("a=1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_an_override_is_json_if_it_parses_and_text_otherwise(write: Write, text: str, value: Any) -> None:
    assert config.read(write("a.json", {}), [text]).values == {"a": value}


@pytest.mark.parametrize("key", ["m[1].args.k", "m.1.args.k"])
def test_an_override_can_change_a_list_item(write: Write, key: str) -> None:
    path = write("a.json", {"m": [{}, {"args": {"k": 1}}]})
    assert config.read(path, [f"{key}=2"]).values == {"m": [{}, {"args": {"k": 2}}]}


def test_overrides_apply_in_their_order(write: Write) -> None:
    given = [Override("optimizer.args.lr", 1.0, "--lr"), "optimizer.args.lr=2", "optimizer.args.lr=3"]
    assert config.read(write("a.json", {}), given).values == {"optimizer": {"args": {"lr": 3}}}


def test_the_origin_of_an_override_is_its_option(write: Write) -> None:
    path = write("a.json", {"optimizer": {"args": {"lr": 1, "b": {"c": 1}}}, "m": [1]})
    raw = config.read(path, [Override("optimizer.args.lr", 0.5, "--lr"), 'optimizer.args.b={"c": 2}', "m[0]=2"])
    assert [raw.origin(key) for key in [("optimizer", "args", "lr"), ("optimizer", "args", "b", "c"), ("m", 0)]] == [
        "--lr",
        "--set",
        "--set",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "--set: a: needs the form a.b.c=VALUE"),
        ("=1", "--set: =1: needs the form a.b.c=VALUE"),
        ("..=1", "--set: ..=1: needs the form a.b.c=VALUE"),
        ("a.b.c=1", "--set: a.b.c: a.b holds 1, which has no c"),
        ("a.b.c.d=1", "--set: a.b.c.d: a.b holds 1, which has no c"),
        ("m[1]=1", "--set: m[1]: m holds [0], which has no 1"),
        ("m[-1]=1", "--set: m[-1]: m holds [0], which has no -1"),
        ("m.x=1", "--set: m.x: m holds [0], which has no x"),
        ("m[²]=1", "--set: m[²]: m holds [0], which has no ²"),
        (f"m[{'9' * 5000}]=1", f"--set: m[{'9' * 5000}]: m holds [0], which has no {'9' * 5000}"),
        ("a.b=NaN", "--set: a.b: found NaN; allowed: finite numbers"),
        (Override("a.b", float("nan"), "--lr"), "--lr: a.b: found nan; allowed: finite numbers"),
        ('a.b={"c": 1, "c": 2}', "--set: a.b.c: is given twice; keep one"),
        ("a.b=x\udcff", r'--set: a.b: found "x\udcff"; allowed: text without NUL'),
    ],
)
def test_an_override_of_an_impossible_key_is_refused(write: Write, text: str, said: str) -> None:
    assert refused(write("a.json", {"a": {"b": 1}, "m": [0]}), text).startswith(said)


def test_from_values_applies_overrides_to_a_copy() -> None:
    values = {"a": {"b": [1]}}
    raw = config.from_values(values, "run/best.pth", ["a.b[0]=2"])
    assert (raw.values, values, raw.origin(("a",))) == ({"a": {"b": [2]}}, {"a": {"b": [1]}}, "run/best.pth")


# Messages -----------------------------------------------------------------------------------------------------------


def test_a_problem_says_file_key_and_what_to_do() -> None:
    error = ConfigError([Problem("a.json", "b.c", "is wrong"), Problem("a.json", "", "is empty")])
    assert str(error) == "a.json: b.c: is wrong\na.json: is empty"
    assert error.status == 2


def test_equal_problems_are_reported_once_and_in_one_line() -> None:
    assert str(ConfigError([Problem("a.json", "b", "x\n  y")] * 2)) == "a.json: b: x y"


def test_control_characters_are_escaped() -> None:
    assert str(ConfigError([Problem("a.json", "\x1b[2J", "\ud800é")])) == r"a.json: \x1b[2J: \ud800é"


@pytest.mark.parametrize(
    ("word", "known", "nearest"),
    [
        ("early_stpo", ["early_stop", "epochs"], ["early_stop"]),
        ("EPOCHS", ["early_stop", "epochs"], ["epochs"]),
        ("lr", ["lr_scheduler", "learning"], []),
        ("q", ["p"], []),
        ("pp", ["p", "replay"], ["p"]),
        ("", ["a"], []),
        ("anything", [], []),
        ("resnet1t", ["resnet10t", "resnet14t", "resnet50", "vgg16"], ["resnet10t", "resnet14t"]),
        ("fodls", ["fold", "folds"], ["folds"]),
        ("AdaWm", ["Adam", "AdamW", "SGD"], ["AdamW", "Adam"]),
    ],
)
def test_the_nearest_words_are_suggested(word: str, known: list[str], nearest: list[str]) -> None:
    assert config.suggestions(word, known) == nearest


@pytest.mark.parametrize(
    ("nearest", "said"),
    [([], ""), (["abcd"], ' (did you mean "abcd"?)'), (["abce", "abcf"], ' (did you mean "abce" or "abcf"?)')],
)
def test_did_you_mean_is_a_question(nearest: list[str], said: str) -> None:
    assert config.did_you_mean("abcx" if len(nearest) > 1 else "abdc", nearest) == said


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("mask", "maks", 1),
        ("mask", "mas", 1),
        ("mask", "masks", 1),
        ("kitten", "sitting", 3),
        ("ab", "bca", 3),
    ],
)
def test_edit_distance_counts_a_swap_as_one(a: str, b: str, edits: int) -> None:
    assert config.edit_distance(a, b) == config.edit_distance(b, a) == edits


@pytest.mark.parametrize("key", [("a",), ("a", 0, "b"), ("metrics", 12), ("a", "b", "c")])
def test_key_path_reverses_key_text(key: config.KeyPath) -> None:
    assert config.key_path(config.key_text(key)) == key


def test_a_long_value_is_shortened() -> None:
    assert config.show("x" * 100) == '"' + "x" * 56 + "…"


def test_differences_name_every_key() -> None:
    found = list(config.differences({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}, "e": None}))
    assert found == [(("a",), 1, None), (("b", "d"), 2, 3)]


def test_a_key_without_an_origin_belongs_to_the_file() -> None:
    assert RawConfig({}, "a.json", {("a",): "b.json"}).origin(("c",)) == "a.json"
