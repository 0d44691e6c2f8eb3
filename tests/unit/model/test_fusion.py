"""Means of probabilities, of logits and of ranks."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax

from base.predictions import Predictions
from model.fusion import LogitFusion, MeanFusion, RankFusion
from utils.errors import UserError

IDS = ["a", "b", "c", "d"]


def made(seed, samples=4):
    probabilities = softmax(np.random.default_rng(seed).normal(0, 2, (samples, 3)), axis=1)
    return Predictions.of(
        IDS[:samples], {"label": torch.from_numpy(probabilities), "sure": torch.from_numpy(probabilities[:, 0])}
    )


def test_the_mean_of_logits_is_that_of_the_networks_own():
    one, other = made(1), made(2)
    found = LogitFusion().fuse([one, other], [3, 1])
    logits = 0.75 * np.log(one.array("label")) + 0.25 * np.log(other.array("label"))
    np.testing.assert_allclose(found.array("label"), softmax(logits, axis=1))
    np.testing.assert_allclose(found.array("sure"), expit(0.75 * logit(one.array("sure")) + 0.25 * logit(other.array("sure"))))


def test_certainty_has_finite_logits():
    sure = Predictions.of(["a"], {"label": torch.tensor([[1.0, 0.0]])})
    other = Predictions.of(["a"], {"label": torch.tensor([[0.0, 1.0]])})
    np.testing.assert_allclose(LogitFusion().fuse([sure, other]).array("label"), [[0.5, 0.5]])


def test_what_is_no_probability_has_no_logit():
    with pytest.raises(UserError, match="LogitFusion: predictions beyond 0 and 1 are no probabilities"):
        LogitFusion().fuse([Predictions.of(["a"], {"embedding": torch.tensor([[0.6, -0.8]])})] * 2)


def test_ranks_do_not_change_with_how_sure_a_source_is():
    one, other = made(1), made(2)
    flat = Predictions.of(IDS, {name: torch.from_numpy(one.array(name) ** 0.1) for name in one.names})
    for name in one.names:
        assert np.array_equal(RankFusion().fuse([one, other]).array(name), RankFusion().fuse([flat, other]).array(name))


def test_ranks_are_shares_of_the_samples_and_equal_values_share_one():
    found = RankFusion().fuse([Predictions.of(IDS, {"sure": torch.tensor([0.1, 0.4, 0.4, 0.9])})] * 2)
    assert found.array("sure").tolist() == pytest.approx([0.25, 0.625, 0.625, 1.0])


def test_one_sample_has_no_rank():
    with pytest.raises(UserError, match="RankFusion: one sample has no rank"):
        RankFusion().fuse([made(1, samples=1)] * 2)


@pytest.mark.parametrize("fusion", [MeanFusion(), LogitFusion(), RankFusion()])
def test_a_sample_that_could_not_be_read_stays_an_error_and_changes_no_other(fusion):
    one, other = made(1), made(2)
    broken = Predictions.of(IDS, {name: torch.from_numpy(one.array(name)) for name in one.names}, ["", "", "", "torn"])
    found = fusion.fuse([broken, other])
    assert found.failed() == {"d": "torn"}
    assert np.isfinite(found.array("label")[:3]).all() and np.isnan(found.array("label")[3]).all()


@pytest.mark.parametrize("fusion", [MeanFusion(), LogitFusion(), RankFusion()])
def test_all_the_weight_on_one_source_leaves_the_other_out(fusion):
    one, other = made(1), made(2)
    alone = fusion.fuse([one, one]).array("label")
    np.testing.assert_allclose(fusion.fuse([one, other], [2, 0]).array("label"), alone)


@pytest.mark.parametrize("fusion", [MeanFusion(), LogitFusion(), RankFusion()])
def test_labels_of_other_sizes_are_refused(fusion):
    wide = Predictions.of(IDS, {"label": torch.rand(4, 5), "sure": torch.rand(4)})
    with pytest.raises(UserError, match="predict different samples or different things"):
        fusion.fuse([made(1), wide])
