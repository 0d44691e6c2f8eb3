"""Weights chosen greedily, and what they are chosen by."""

import numpy as np
import pytest
import torch

from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from model.attributes.scores import AttributeScores
from model.fusion import MeanFusion
from trainer.evaluation.ensemble import ROUNDS, MonitoredScore, greedy
from utils.errors import UserError

SPEC = DataSpec({"label": ["no", "yes"]})
IDS = ["a", "b", "c", "d"]
TABLE = SampleTable.from_columns("/", {"id": IDS, "path": IDS, "label": np.array([1, 1, 0, 0])})


def probabilities(values):
    yes = torch.tensor(values)
    return Predictions.of(IDS, {"label": torch.stack([1 - yes, yes], dim=1)})


def test_members_whose_mistakes_differ_share_the_weight():
    members = [probabilities([0.9, 0.4, 0.2, 0.2]), probabilities([0.4, 0.9, 0.2, 0.2])]
    watched = MonitoredScore("max f1", [AttributeScores(SPEC)], TABLE)
    weights, best = greedy(2, lambda weights: watched.score(MeanFusion().fuse(members, weights)))
    assert (weights, best) == ([0.5, 0.5], 1.0)


def test_a_member_that_harms_has_no_weight():
    members = [probabilities([0.9, 0.9, 0.1, 0.1]), probabilities([0.1, 0.1, 0.9, 0.9])]
    watched = MonitoredScore("max accuracy", [AttributeScores(SPEC)], TABLE)
    assert greedy(2, lambda weights: watched.score(MeanFusion().fuse(members, weights)))[0] == [1.0, 0.0]


def test_where_small_is_good_the_smallest_is_found():
    weights, best = greedy(3, lambda weights: abs(weights[0] - 0.25) + abs(weights[2] - 0.75), sign=-1.0)
    assert weights == [0.25, 0.0, 0.75] and best == 0.0


def test_no_mixture_is_scored_twice():
    seen = []
    greedy(2, lambda weights: seen.append(tuple(weights)) or 0.0)
    assert len(seen) == len(set(seen)) <= 2 * ROUNDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max fl", r'--monitor: no score is called "fl" \(did you mean "f1"\?\)'),
        ("f1", '--monitor: found "f1"; allowed: max or min'),
        ("off", '--monitor: found "off"; allowed: max or min'),
    ],
)
def test_a_score_that_nothing_computes_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        MonitoredScore(text, [AttributeScores(SPEC)], TABLE)
