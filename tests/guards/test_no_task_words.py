"""The loop and the contracts know no task: trainer/ and base/ speak of samples, labels and classes only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.guards.sources import relative, sources

WORDS = re.compile(
    r"masks?|masked|genders?|ages?|faces?|facial|attributes?|verif\w*|detect\w*|bbox\w*|box|boxes|identity|identities|"
    r"drivers?|triarchy|persons?|people|expressions?|landmarks?|eyes?|mouths?|phones?|cigars?|arcface"
)
# file -> what may stand in it, and why
ALLOWED = {
    # The contracts describe what every task puts into a batch, boxes and unit vectors among it: DESIGN, section 2.
    "base/contracts.py": {"boxes"},
    "base/base_model.py": {"boxes"},
    # What pyarrow calls the array that says which values are null.
    "base/predictions.py": {"mask"},
    # The loop's own check that no loss or gradient was infinite.
    "base/base_trainer.py": {"verify"},
    "trainer/supervised.py": {"verify"},
    # The first word of a warning of torch's.
    "trainer/optim.py": {"detected"},
}


def words(text: str) -> set[str]:
    """The words of a text, identifiers taken apart at underscores and capitals; Python's own error is no word."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text.replace("AttributeError", ""))}


def task_words(text: str) -> set[str]:
    """Those that belong to a task."""
    return {word for word in words(text) if WORDS.fullmatch(word)}


@pytest.mark.parametrize("path", sources("trainer", "base"), ids=relative)
def test_no_module_of_the_loop_names_a_task(path: Path) -> None:
    assert task_words(path.read_text(encoding="utf-8")) <= ALLOWED.get(relative(path), set())


@pytest.mark.parametrize("name", ALLOWED)
def test_every_exception_is_needed(name: str) -> None:
    path = next(path for path in sources("trainer", "base") if relative(path) == name)
    assert task_words(path.read_text(encoding="utf-8")) == ALLOWED[name]


def test_words_are_found_within_names_but_not_within_words() -> None:
    assert task_words("face_box faceId FaceLoader AGE") == {"face", "box", "age"}
    assert task_words("interface package message surfaces AttributeError") == set()
