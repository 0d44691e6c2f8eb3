"""Exact nearest vectors, whatever the blocks."""

import numpy as np
import pytest

from inspection.verification.nearest import best, in_blocks, nearest
from utils.errors import UserError


def slow(queries, gallery, number):
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    ).T
    return np.argsort(-cosines, axis=1, kind="stable")[:, :number]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("seed", range(20))
def test_the_nearest_are_those_of_a_sort_of_all_for_any_blocks(seed, size):
    random = np.random.default_rng(seed)
    queries, gallery = random.normal(size=(4, 6)), random.normal(size=(50, 6))
    assert np.array_equal(nearest(queries, in_blocks(gallery, size), 5).rows, slow(queries, gallery, 5))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_of_equally_near_ones_the_first_comes_first(size):
    gallery = np.tile([[1.0, 0.0]], (5, 1))
    assert nearest(np.array([[2.0, 0.0]]), in_blocks(gallery, size), 3).rows.tolist() == [[0, 1, 2]]


def test_a_gallery_smaller_than_wanted_is_given_whole():
    assert nearest(np.eye(2), [np.eye(2)], 10).rows.shape == (2, 2)


def test_an_empty_gallery_has_no_nearest():
    assert nearest(np.eye(2), [], 3).rows.shape == (2, 0)


def test_the_best_scores_come_in_order():
    assert best(np.array([[0.1, 0.9, 0.5]]), 2).tolist() == [[1, 2]]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_a_cosine_is_named_by_its_row_in_the_gallery(value):
    gallery = np.ones((7, 2))
    gallery[5] = value
    with pytest.raises(UserError, match="gallery: row 5 is a vector of length"):
        nearest(np.ones((1, 2)), in_blocks(gallery, 2), 1)
