"""Wrong copies of configs. Each has one thing wrong, and knows the key that an error must name."""

from __future__ import annotations

import copy
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from base.registry import registries
from model.backbones.timm_backbone import check_backbone_name
from trainer.experiment import checking
from trainer.experiment.config_model import config_model
from utils import config
from utils.config import ConfigError, KeyPath, key_text
from utils.validate import models_at

Values = dict[str, Any]
TWICE, NUMBER = "@twice@", "@number@"  # marks for what JSON text can say and Python values cannot
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999")
WRONG_TYPE: dict[type, Any] = {str: {"wrong": "x"}, bool: {"wrong": "x"}, int: "abc", float: "abc", list: "abc", dict: 3}


class Mutation(NamedTuple):
    """The text of a wrong config; `meant` is the word to suggest where it is a typo."""

    kind: str
    key: KeyPath
    text: str
    meant: str | None = None

    def names(self, key: str) -> bool:
        """Whether an error at `key` is at the right place: at the wrong key, or at the object that holds it."""
        return key in (key_text(self.key), key_text(self.key[:-1]))


Change = tuple[KeyPath, Values] | tuple[KeyPath, Values, str]  # the wrong key, the wrong values, the word meant


def mutations(configs: list[Values], number: int, seed: int) -> Iterator[Mutation]:
    """`number` mutations, all kinds in turn, each at a random place of a random config that has such a place."""
    rng = random.Random(seed)
    made = 0
    while made < number:
        for kind, change in KINDS.items():
            found = next(change(rng.choice(configs), rng), None)
            if found is not None and made < number:
                key, values, *meant = found
                made += 1
                yield Mutation(kind, key, _text(values, rng), *meant)


def _text(values: Values, rng: random.Random) -> str:
    text = json.dumps(values, indent=2).replace(TWICE, "")
    return text.replace(f'"{NUMBER}"', rng.choice(NO_NUMBERS))


# Where things are in a config ---------------------------------------------------------------------------------------


def places(values: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every key below the top with its value."""
    if key:
        yield key, values
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield from places(value, (*key, name))


def fields(values: Values, key: KeyPath) -> dict[str, FieldInfo]:
    """The keys that may stand in the object at `key`; none where it is a free mapping, or no object."""
    return {name: field for model in models_at(config_model(), values, key) for name, field in model.model_fields.items()}


def anywhere(values: Values, rng: random.Random) -> list[tuple[KeyPath, Any]]:
    """`places` in random order: the first that a mistake can be made at is the one."""
    everything = list(places(values))
    return rng.sample(everything, len(everything))


def objects(values: Values, rng: random.Random) -> Iterator[tuple[KeyPath, dict[str, FieldInfo]]]:
    """Every object of the config that has known keys, with these, in random order but for the whole at the end."""
    for key, value in [*anywhere(values, rng), ((), values)]:
        if isinstance(value, dict) and (known := fields(values, key)):
            yield key, known


def placed(values: Values, rng: random.Random) -> Iterator[tuple[KeyPath, Any, FieldInfo]]:
    """Every key that a model describes, with its value and field, in random order."""
    for key, value in anywhere(values, rng):
        if isinstance(key[-1], str) and (field := fields(values, key[:-1]).get(key[-1])):
            yield key, value, field


def at(values: Any, key: KeyPath) -> Any:
    """The value at a key."""
    for part in key:
        values = values[part]
    return values


def put(values: Values, key: KeyPath, value: Any) -> Values:
    """A copy with another value at a key."""
    result = copy.deepcopy(values)
    at(result, key[:-1])[key[-1]] = value
    return result


def renamed(values: Values, key: KeyPath, name: str) -> Values:
    """A copy in which a key is called otherwise, at the same place of its object."""
    old = at(values, key[:-1])
    new = {name if other == key[-1] else other: value for other, value in old.items()}
    return put(values, key[:-1], new) if key[:-1] else copy.deepcopy(new)


def typo(word: str, rng: random.Random) -> str:
    """One edit: a letter more, less or other, or two neighbours swapped."""
    letters = string.ascii_lowercase + "_" + "".join(c for c in word if c.isalnum())
    at_, letter = rng.randrange(len(word)), rng.choice(letters)
    edits = [word[:at_] + letter + word[at_:], word[:at_] + word[at_ + 1 :], word[:at_] + letter + word[at_ + 1 :]]
    edits += [word[:at_] + word[at_ + 1] + word[at_] + word[at_ + 2 :]] if at_ + 1 < len(word) else []
    return rng.choice(edits)


def other_than(words: Any, word: str, rng: random.Random) -> str:
    """A typo that is none of `words` by chance."""
    while (wrong := typo(word, rng)) in words or not wrong or wrong == word:
        pass
    return wrong


def leaves(annotation: Any) -> Iterator[Any]:
    """The annotation, and those that it is made of."""
    yield annotation
    for part in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from leaves(part)


@cache
def registered() -> frozenset[str]:
    """The names of everything that a `type` may be, anywhere."""
    config_model()
    return frozenset(name for registry in registries() for name in registry.parts)


# The kinds of mistakes ----------------------------------------------------------------------------------------------


def key_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """A key with one wrong letter."""
    for key, _, _ in placed(values, rng):
        wrong = other_than(fields(values, key[:-1]), str(key[-1]), rng)
        yield (*key[:-1], wrong), renamed(values, key, wrong), str(key[-1])


def type_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """The name of a registered class with one wrong letter."""
    for key, value, _ in placed(values, rng):
        if key[-1] == "type":
            yield key, put(values, key, other_than(registered(), value, rng)), value


def choice_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """One of a few allowed words, with one wrong letter."""
    for key, known in objects(values, rng):
        for name, field in rng.sample(list(known.items()), len(known)):
            words = [w for leaf in leaves(field.annotation) if get_origin(leaf) is Literal for w in get_args(leaf)]
            words = [word for word in words if isinstance(word, str)]
            if words and name != "type":
                word = rng.choice(words)
                yield (*key, name), put(values, (*key, name), other_than(words, word, rng)), word


def monitor_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """A score that nothing computes."""
    checked = checking.check(config.from_values(values, "")).config
    spec = checking.declared_spec(checked)
    names = checking.score_names([part.build(spec) for part in checked.metrics], spec)
    name = rng.choice(names)
    key = ("trainer", "monitor")
    yield key, put(values, key, f"max {other_than(names, name, rng).replace(' ', '_')}"), name


def term_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """A loss term for a label that does not exist; where terms are not of labels, their names are the user's own."""
    terms, labels = values["loss"].get("args", {}).get("terms"), values["data_loader"]["args"].get("labels")
    for name in rng.sample(list(terms), len(terms)) if isinstance(terms, dict) and isinstance(labels, dict) else ():
        if terms[name] is None:  # says that there is none, under whatever name
            continue
        key = ("loss", "args", "terms", name)
        wrong = other_than(terms, name, rng)
        yield (*key[:-1], wrong), renamed(values, key, wrong), name


def backbone_typo(values: Values, rng: random.Random) -> Iterator[Change]:
    """A backbone that does not exist."""
    for key, value in anywhere(values, rng):
        if key[-1] == "backbone" and isinstance(value, str):
            name, dot, tag = value.partition(".")
            while check_backbone_name(wrong := other_than((), name, rng)) is None:
                pass
            yield key, put(values, key, wrong + dot + tag), name


def wrong_type(values: Values, rng: random.Random) -> Iterator[Change]:
    """A value of another type."""
    for key, value in anywhere(values, rng):
        if value is not None:
            yield key, put(values, key, WRONG_TYPE[type(value)])


def out_of_range(values: Values, rng: random.Random) -> Iterator[Change]:
    """A number just beyond its bounds."""
    for key, known in objects(values, rng):
        for name, field in rng.sample(list(known.items()), len(known)):
            for bound in (*field.metadata, *(m for leaf in leaves(field.annotation) for m in getattr(leaf, "metadata", ()))):
                wrong = _beyond(bound)
                if wrong is not None and not any(get_origin(leaf) in (list, tuple) for leaf in leaves(field.annotation)):
                    yield (*key, name), put(values, (*key, name), wrong)


def _beyond(bound: Any) -> float | None:
    bounds = {name: getattr(bound, name, None) for name in ("gt", "lt", "ge", "le")}
    strict = bounds["gt"] if bounds["gt"] is not None else bounds["lt"]
    if strict is not None:
        return float(strict)
    if bounds["ge"] is not None:
        return float(bounds["ge"]) - 1
    return None if bounds["le"] is None else float(bounds["le"]) + 1


def missing(values: Values, rng: random.Random) -> Iterator[Change]:
    """A key that is needed, left out."""
    for key, _, field in placed(values, rng):
        if field.is_required():
            wrong = copy.deepcopy(values)
            del at(wrong, key[:-1])[key[-1]]
            yield key, wrong


def unknown(values: Values, rng: random.Random) -> Iterator[Change]:
    """A key that nobody asked for."""
    for key, _ in objects(values, rng):
        name = "".join(rng.choices(string.ascii_lowercase, k=8))
        yield (*key, name), put(values, (*key, name), 1)


def twice(values: Values, rng: random.Random) -> Iterator[Change]:
    """A key given twice."""
    for key, value in anywhere(values, rng):
        if isinstance(key[-1], str):
            yield key, put(values, (*key[:-1], key[-1] + TWICE), value)


def no_number(values: Values, rng: random.Random) -> Iterator[Change]:
    """NaN or Infinity for a number."""
    for key, value in anywhere(values, rng):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, put(values, key, NUMBER)


def null(values: Values, rng: random.Random) -> Iterator[Change]:
    """null where something is needed."""
    for key, _, field in placed(values, rng):
        if type(None) not in leaves(field.annotation):
            yield key, put(values, key, None)


KINDS: dict[str, Callable[[Values, random.Random], Iterator[Change]]] = {
    kind.__name__: kind
    for kind in (
        key_typo, type_typo, choice_typo, monitor_typo, term_typo, backbone_typo, wrong_type, out_of_range, missing, unknown,
        twice, no_number, null,
    )
}  # fmt: skip


# What happens to them -----------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What became of a mutation.

    lines: of the ConfigError, none where there was no such error. named: whether one of them is at the right key.
    suggested: what these suggest, the nearest first. error: any other exception.
    """

    mutation: Mutation
    lines: list[str]
    named: bool
    suggested: list[str]
    error: str = ""

    @property
    def right(self) -> bool:
        """Whether what was meant is suggested; where nothing was meant, whether the error is at the right key."""
        return self.named and self.mutation.meant in (None, *self.suggested)


def judge(mutation: Mutation, folder: Path) -> Verdict:
    """Read and check the wrong config as train.py does."""
    path = folder / "mutated.json"
    path.write_text(mutation.text)
    try:
        checking.check(config.read(path))
    except ConfigError as error:
        lines = str(error).splitlines()
        right = [line for line, problem in zip(lines, error.problems, strict=True) if mutation.names(problem.key)]
        asked = " ".join(match for line in right for match in re.findall(r"\(did you mean (.*?)\?\)", line))
        return Verdict(mutation, lines, bool(right), re.findall('"(.*?)"', asked))
    except Exception as error:
        return Verdict(mutation, [], False, [], f"{type(error).__name__}: {error}")
    return Verdict(mutation, [], False, [])


FACTS: dict[str, Callable[[Verdict], object]] = {
    "number": lambda verdict: True,
    "refused": lambda verdict: verdict.lines,
    "key named": lambda verdict: verdict.named,
    "tracebacks": lambda verdict: verdict.error,
    "typos": lambda verdict: verdict.mutation.meant,
    "right word suggested": lambda verdict: verdict.mutation.meant in verdict.suggested,
    "as the first": lambda verdict: [verdict.mutation.meant] == verdict.suggested[:1],
}


def table(verdicts: list[Verdict]) -> str:
    """Counts by kind of mistake."""
    lines = [" " * 13 + "".join(f"   {name}" for name in FACTS)]
    for kind in (*KINDS, "all"):
        of_kind = [verdict for verdict in verdicts if kind in (verdict.mutation.kind, "all")]
        counts = {name: sum(bool(fact(verdict)) for verdict in of_kind) for name, fact in FACTS.items()}
        lines.append(f"{kind.replace('_', ' '):13}" + "".join(f"{count:{len(name) + 3}}" for name, count in counts.items()))
    return "\n".join(lines)
