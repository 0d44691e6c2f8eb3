"""A wrong config never trains, and what is said of it is enough to mend it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.helpers import run
from tests.integration.mutate import KINDS, Mutation, Verdict, judge, mutations, table, typo
from tests.integration.nonsense import nonsense, said_of
from tests.shipped import CONFIGS, name
from trainer.experiment import checking
from utils import config

NUMBER, SEED = 300, 20


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    """What became of 300 wrong copies of the shipped configs."""
    configs = [config.read(path).values for path in CONFIGS]
    folder = tmp_path_factory.mktemp("mutated")
    return [judge(mutation, folder) for mutation in mutations(configs, NUMBER, SEED)]


def listed(verdicts: list[Verdict]) -> list[str]:
    """The mutations, to be read where a test fails."""
    return [f"{v.mutation.kind}: {config.key_text(v.mutation.key)} ({v.mutation.meant}): {v.lines or v.error}" for v in verdicts]


def test_mistakes_of_every_kind_are_made(verdicts: list[Verdict]) -> None:
    rng, configs = random.Random(SEED), [config.read(path).values for path in CONFIGS]
    possible = {kind for kind, change in KINDS.items() if any(next(change(values, rng), None) for values in configs)}
    assert {verdict.mutation.kind for verdict in verdicts} == possible


def test_every_mistake_is_refused(verdicts: list[Verdict]) -> None:
    assert listed([verdict for verdict in verdicts if not verdict.lines]) == []


def test_no_mistake_raises_anything_but_a_config_error(verdicts: list[Verdict]) -> None:
    assert [verdict.error for verdict in verdicts if verdict.error] == []


def test_every_refusal_names_the_wrong_key(verdicts: list[Verdict]) -> None:
    assert listed([verdict for verdict in verdicts if not verdict.named]) == []


def test_every_refusal_names_the_file_in_every_line(verdicts: list[Verdict]) -> None:
    assert [line for verdict in verdicts for line in verdict.lines if "mutated.json: " not in line] == []


def test_the_right_word_is_suggested_for_at_least_95_of_100_typos(verdicts: list[Verdict]) -> None:
    typos = [verdict for verdict in verdicts if verdict.mutation.meant]
    wrong = [verdict for verdict in typos if not verdict.right]
    assert len(wrong) <= 0.05 * len(typos), listed(wrong)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_every_shipped_config_is_valid(path: Path) -> None:
    assert checking.check(config.read(path))


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_written_out_whole_is_no_false_alarm(path: Path, tmp_path: Path) -> None:
    whole = judge(Mutation("none", (), json.dumps(config.read(path).values)), tmp_path)
    assert (whole.lines, whole.error) == ([], "")


@pytest.mark.parametrize("seed", range(4))
def test_500_random_byte_strings_are_refused_in_words_and_raise_nothing_else(seed: int, tmp_path: Path) -> None:
    for content in nonsense(CONFIGS, 500, seed):
        lines = said_of(content, tmp_path)
        assert lines and all(line.isprintable() for line in lines), content


# The same through the command line ----------------------------------------------------------------------------------


def spoilt(kind: str) -> Mutation:
    """One mistake of a kind."""
    configs = [config.read(CONFIGS[0]).values]
    return next(mutation for mutation in mutations(configs, 3 * len(KINDS), SEED) if mutation.kind == kind)


@pytest.mark.parametrize("kind", ["key_typo", "type_typo", "missing", "twice", "no_number"])
def test_the_script_refuses_with_status_2_and_no_traceback(kind: str, tmp_path: Path) -> None:
    mutation = spoilt(kind)
    path = tmp_path / "wrong.json"
    path.write_text(mutation.text)
    result = run(tmp_path, "train.py", "-c", path, "--check")
    assert (result.status, result.output) == (2, "")
    assert all(line.startswith(str(path)) for line in result.lines)
    assert f"{path}: {config.key_text(mutation.key)}: " in result.errors


def test_the_script_refuses_bytes_that_are_no_text_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_bytes(b"\x00\xff\xfe")
    result = run(tmp_path, "train.py", "-c", path, "--check")
    assert (result.status, result.lines) == (2, [f"{path}: is not UTF-8 text (byte 1)"])


def test_the_script_says_that_a_config_holds(tmp_path: Path) -> None:
    result = run(tmp_path, "train.py", "-c", CONFIGS[0], "--check")
    assert (result.status, result.errors) == (0, "") and ": ok (" in result.output


# The mutations themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["p", "lr", "epochs", "CosineAnnealingLR"])
def test_a_typo_is_one_edit(word: str) -> None:
    rng = random.Random(0)
    assert {config.edit_distance(typo(word, rng), word) for _ in range(200)} <= {0, 1}


def test_the_table_counts_every_kind_and_all(verdicts: list[Verdict]) -> None:
    lines = table(verdicts).splitlines()
    assert len(lines) == 2 + len(KINDS) and lines[-1].split()[:4] == ["all", str(NUMBER), str(NUMBER), str(NUMBER)]
