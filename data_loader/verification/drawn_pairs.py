"""Random pairs of pictures of the people who are held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from base.verification.pairs import DIFFERENT, SAME, Pairs
from utils.errors import UserError
from utils.seed import generator


def make_pairs(people: np.ndarray, number: int, seed: int) -> Pairs:
    """Return about as many pairs of one person as of two, at most `number`, none twice: a function of (people, number, seed).

    people: (U,) integers. A person is drawn first, then two pictures, so that people with many pictures do not dominate.
    Raises UserError if nobody has two pictures, or if there is only one person.
    """
    rng = generator(seed, "pairs")
    by_person = [np.flatnonzero(people == person) for person in np.unique(people)]
    several = [rows for rows in by_person if len(rows) > 1]
    if not several or len(by_person) < 2:
        raise UserError(
            f"split: the {len(by_person)} people held out, {len(several)} of them with two pictures, make no pairs "
            "of both kinds; hold out more"
        )
    possible = sum(len(rows) * (len(rows) - 1) // 2 for rows in several)
    wanted = min(number // 2, possible)
    alike = _distinct(wanted, lambda: rng.choice(several[rng.integers(len(several))], 2, replace=False))
    apart = len(people) * (len(people) - 1) // 2 - possible
    different = _distinct(min(len(alike), apart), lambda: _of_two(rng, by_person))
    rows = np.array([*alike, *different], np.int64)
    return Pairs(rows[:, 0], rows[:, 1], np.repeat(np.array([SAME, DIFFERENT], np.int8), [len(alike), len(different)]))


def _of_two(rng: np.random.Generator, by_person: list[np.ndarray]) -> np.ndarray:
    one, other = rng.choice(len(by_person), 2, replace=False)
    return np.array([rng.choice(by_person[one]), rng.choice(by_person[other])])


def _distinct(wanted: int, draw: Callable[[], np.ndarray]) -> list[tuple[int, int]]:
    """Return `wanted` different pairs; fewer if different pairs become too rare."""
    pairs: dict[tuple[int, int], None] = {}
    for _ in range(50 * wanted):
        if len(pairs) == wanted:
            break
        one, other = sorted(map(int, draw()))
        pairs[one, other] = None
    return list(pairs)
