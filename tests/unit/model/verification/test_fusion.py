"""Vectors of several models side by side."""

import numpy as np
import pytest
import torch

from base.predictions import Predictions
from model.verification.fusion import ConcatFusion
from utils.errors import UserError


def test_the_cosine_of_vectors_side_by_side_is_the_mean_of_the_models_cosines():
    random = np.random.default_rng(1)
    vectors = [random.normal(size=(2, size)) for size in (5, 5)]
    units = [found / np.linalg.norm(found, axis=1, keepdims=True) for found in vectors]
    several = [Predictions.of(["a", "b"], {"embedding": torch.from_numpy(found)}) for found in units]
    one, other = ConcatFusion().fuse(several, [3, 1]).array("embedding")
    assert one @ other == pytest.approx(0.75 * units[0][0] @ units[0][1] + 0.25 * units[1][0] @ units[1][1])
    assert one @ one == pytest.approx(1)


def test_numbers_do_not_stand_side_by_side():
    with pytest.raises(UserError, match="ConcatFusion: only vectors"):
        ConcatFusion().fuse([Predictions.of(["a", "b"], {"sure": torch.rand(2)})] * 2)
