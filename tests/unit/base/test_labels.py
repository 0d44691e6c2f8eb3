"""Test mapping labels to reported classes, and combining labels."""

import numpy as np
import pytest

from base.contracts import DataSpec
from base.labels import combined_class, combined_names, reported, unknown_label


def test_the_combined_class_is_mask_times_6_plus_gender_times_3_plus_age():
    mask, gender, age = np.array([0, 1, 2, 2]), np.array([0, 1, 0, 1]), np.array([1, 0, 2, 2])

    assert combined_class([mask, gender, age], [3, 2, 3]).tolist() == [1, 9, 14, 17]


def test_a_combined_class_is_unknown_if_any_label_is():
    assert combined_class([np.array([-1, 0, 1]), np.array([1, -1, 1])], [2, 2]).tolist() == [-1, -1, 3]


def test_one_label_alone_is_its_own_combined_class():
    assert combined_class([np.array([2, -1, 0])], [3]).tolist() == [2, -1, 0]


@pytest.mark.parametrize("second", [np.array([0, 2]), np.array([0]), np.array([[0], [1]])])
def test_columns_of_unequal_length_or_with_too_large_classes_are_refused(second):
    with pytest.raises(ValueError, match=r"a label column has shape \(.*\) and a size of 2; the first has \(2,\)"):
        combined_class([np.array([0, 1]), second], [2, 2])


def test_combined_names_are_in_order_of_their_class_numbers():
    names = [["wear", "wrong"], ["male", "female"]]

    assert combined_names(names)[combined_class([np.array([1]), np.array([0])], [2, 2])[0]] == "wrong, male"


def test_fine_classes_become_reported_classes_and_unknown_stays_unknown():
    spec = DataSpec({"age": ["young", "old"]}, merged={"age": [0, 0, 1]})

    assert reported(np.array([0, 1, 2, -1]), spec, "age").tolist() == [0, 0, 1, -1]


def test_a_label_that_is_not_merged_is_left_as_it_is():
    assert reported(np.array([1, -1]), DataSpec({"age": ["young", "old"]}), "age").tolist() == [1, -1]


def test_the_error_for_an_unknown_label_names_the_nearest_and_all_known_labels():
    text = unknown_label("gendre", DataSpec({"mask": [], "gender": []}))

    assert text == 'the data have no label "gendre" (did you mean "gender"?); allowed: mask, gender'
